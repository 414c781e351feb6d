"""How a teacher's logits are stored: as they are, in one byte, or the largest ones alone.

=========  ======================  ==============================================================
format     bytes                   error
=========  ======================  ==============================================================
float32    4 a label               none
float16    2 a label               of a logit z at most |z| / 2048: at most 1.1e-4 of a probability
uint8      1 a label               at most 2.5e-5 nat of the divergence from stored to true
top_32     4 a stored label (3 of  the other labels of an image all have the logit of their mean
           up to 256), 2 an image  probability
=========  ======================  ==============================================================

``uint8`` divides the angle φ = 2 arcsin √p = 2 arctan exp(z / 2) of the probability p = σ(z) into
256 equal steps. A small step dφ between two Bernoulli distributions has the Kullback–Leibler
divergence dφ² / 2 whatever p is, so that no probability is stored worse than another. Logits
beyond ±11.6 become ±11.6.

``top_<k>`` stores the k largest logits of an image, whatever k is. The divergence from teacher to
student is linear in the teacher's probabilities, except for a term that does not depend on the
student. Therefore the mean probability has the same gradient as the labels that it stands for,
where the student has the same logit for them. Where k logits and their labels would take more than
all logits in float16, those are stored.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from mlic.errors import CheckpointError

__all__ = ["decode_logits", "encode_logits", "stored_as"]

TOP = "top_"
STEPS = 256
# logits in the middle of the steps
LEVELS = (2 * np.log(np.tan((np.arange(STEPS) + 0.5) * np.pi / (2 * STEPS)))).astype(np.float32)
LEAST = 1e-30  # mean probability whose logit is finite in float16

Logits = NDArray[np.floating[Any]]


def stored_as(
    name: str, shape: tuple[int, int, int]
) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    """Shape and type of the array that holds logits of shape (views, n, C) in a format.

    Examples
    --------
    >>> stored_as("uint8", (4, 1000, 80))
    ((4, 1000, 80), dtype('uint8'))
    >>> shape, dtype = stored_as("top_8", (4, 1000, 80))
    >>> shape, dtype.itemsize
    ((4, 1000), 26)
    """
    if not name.startswith(TOP):
        return shape, np.dtype(name)
    half, size = np.dtype(np.float16), shape[-1]
    label, kept = np.min_scalar_type(size - 1), min(int(name.removeprefix(TOP)), size)
    top = np.dtype([("label", label, (kept,)), ("logit", half, (kept,)), ("rest", half)])
    return (shape, half) if top.itemsize >= size * half.itemsize else (shape[:-1], top)


def encode_logits(values: Logits, dtype: Any) -> NDArray[Any]:
    """Convert logits of shape (…, C) to a type of `stored_as`.

    A logit that is not finite, or does not fit into the type, is a `CheckpointError`.
    """
    kind = np.dtype(dtype)
    if kind == np.uint8:
        return _to_steps(_finite(values, values, kind))
    if kind.names is None:
        with np.errstate(over="ignore"):  # an overflow becomes infinite, which is refused
            return _finite(values.astype(kind), values, kind)
    stored = np.empty(values.shape[:-1], kind)
    kept = stored["label"].shape[-1]
    labels = np.sort(np.argpartition(values, -kept, axis=-1)[..., -kept:], axis=-1)
    stored["label"] = labels
    top = np.take_along_axis(values, labels, axis=-1)
    stored["logit"] = encode_logits(top, np.float16)
    probabilities = expit(_finite(values, values, kind).astype(np.float64))
    # Set to zero and not subtracted: the rest may be too small for a difference.
    np.put_along_axis(probabilities, labels, 0, axis=-1)
    mean = probabilities.sum(axis=-1) / (values.shape[-1] - kept)
    stored["rest"] = logit(np.maximum(mean, LEAST))
    return stored


def decode_logits(stored: NDArray[Any], num_labels: int) -> Logits:
    """Return logits of shape (…, C) from what `encode_logits` gave."""
    if stored.dtype == np.uint8:
        return np.asarray(LEVELS[stored])
    if stored.dtype.names is None:
        return stored
    logits = np.empty((*stored.shape, num_labels), np.float32)
    logits[...] = stored["rest"][..., None]
    np.put_along_axis(
        logits, stored["label"].astype(np.intp), stored["logit"].astype(np.float32), axis=-1
    )
    return logits


def _to_steps(values: Logits) -> NDArray[np.uint8]:
    with np.errstate(over="ignore"):  # arctan ∞ is π / 2
        angle = 2 * np.arctan(np.exp(values.astype(np.float32) / 2))
    return np.minimum(angle * np.float32(STEPS / np.pi), STEPS - 1).astype(np.uint8)


def _finite(converted: Logits, values: Logits, dtype: np.dtype[Any]) -> Logits:
    if not np.isfinite(converted).all():
        largest = float(np.abs(values).max())
        raise CheckpointError(
            f"the logits of a teacher reach {largest:.3g}, which {dtype} cannot hold: "
            "the teacher has diverged, or set teachers.targets=float32",
            value=largest,
        )
    return converted

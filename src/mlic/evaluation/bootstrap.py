"""Bootstrap intervals: figures over images that are drawn again, with replacement.

A resample is a number of times for each image, so that nothing is copied or sorted again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlic.evaluation.average_precision import check_scores
from mlic.labels import PRESENT, UNKNOWN

__all__ = ["interval", "resample_decisions", "resample_map", "resamples"]

RESAMPLES = 1000
_MAX_CELLS = 2 * 10**9  # images × labels × resamples; beyond, fewer resamples are drawn
_FEWEST = 200
_BLOCK = 50  # resamples that are computed together


def resamples(num_images: int, num_labels: int, seed: int) -> NDArray[np.float32]:
    """Draw how often each image is in each resample; shape (R, n), float32.

    R is 1,000, or less (at least 200) where images and labels are many.
    """
    cells = max(num_images * num_labels, 1)
    number = int(np.clip(_MAX_CELLS // cells, _FEWEST, RESAMPLES))
    rng, share = np.random.default_rng(seed), np.full(num_images, 1 / max(num_images, 1))
    return rng.multinomial(num_images, share, size=number).astype(np.float32)


def resample_map(
    scores: ArrayLike, states: ArrayLike, counts: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Mean average precision of each resample.

    Labels without a known positive in a resample are left out of its mean. The definition is that
    of `mlic.evaluation.average_precision.mean_average_precision`.

    Parameters
    ----------
    scores, states
        Shape (n, C); states are 1 present, 0 absent, −1 unknown.
    counts
        Result of `resamples`; shape (R, n).

    Returns
    -------
    numpy.ndarray
        Shape (R,), NaN for a resample without any known positive.

    Raises
    ------
    DataError, LabelError
        As for `mlic.evaluation.average_precision.average_precision`.

    Examples
    --------
    >>> counts = np.array([[1, 1, 1], [2, 0, 1]], dtype=np.float32)
    >>> resample_map([[0.9], [0.8], [0.7]], [[1], [0], [1]], counts).round(4)
    array([0.8333, 1.    ])
    """
    p, s = check_scores(scores, states)
    columns = [_sort_column(p[:, label], s[:, label]) for label in range(s.shape[1])]
    blocks = [counts[start : start + _BLOCK] for start in range(0, len(counts), _BLOCK)]
    found = [np.stack([_precision(block, *one) for one in columns], axis=1) for block in blocks]
    every = np.concatenate(found) if found else np.empty((0, s.shape[1]))
    defined = ~np.isnan(every)
    total, number = np.where(defined, every, 0).sum(axis=1), defined.sum(axis=1)
    return _divide(total, number)


def _sort_column(
    scores: NDArray[np.floating], states: NDArray[np.integer]
) -> tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.intp]]:
    """Known images of one label, best first; which are positive; and the last image of each tie."""
    known = np.flatnonzero(states != UNKNOWN)
    order = known[np.argsort(-scores[known], kind="stable")]
    ordered = scores[order]
    # Equal scores are one threshold: a positive counts with all images of its score.
    last = np.searchsorted(-ordered, -ordered, side="right") - 1
    return order, states[order] == PRESENT, last


def _precision(
    counts: NDArray[np.float32],
    order: NDArray[np.intp],
    positive: NDArray[np.bool_],
    last: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Average precision of one label in each resample; shape (R,)."""
    own = counts[:, order].astype(np.float64)
    hits = own * positive
    total, right = np.cumsum(own, axis=1), np.cumsum(hits, axis=1)
    precision = right[:, last] / np.maximum(total[:, last], 1)
    number = hits.sum(axis=1)
    return _divide((hits * precision).sum(axis=1), number)


def _divide(part: NDArray[np.floating], whole: NDArray[Any]) -> NDArray[np.float64]:
    """Divide; NaN where the denominator is 0."""
    quotient = np.full(len(whole), np.nan)
    np.divide(part, whole, out=quotient, where=whole > 0)
    return quotient


def resample_decisions(
    predicted: NDArray[np.bool_], states: NDArray[np.integer], counts: NDArray[np.float32]
) -> dict[str, NDArray[np.float64]]:
    """CF1, OF1, macro F1 and exact match of each resample; shape (R,) each.

    Parameters
    ----------
    predicted, states
        Decisions and states (1 present, 0 absent, −1 unknown) of the images; shape (n, C).
    counts
        Result of `resamples`; shape (R, n).
    """
    known, present = states != UNKNOWN, states == PRESENT
    # Sums over images are products with the counts.
    hits, claimed, there = (
        (counts @ cells.astype(np.float32)).astype(np.float64)
        for cells in (predicted & present, predicted & known, present)
    )
    right = ((predicted == present) | ~known).all(axis=1)
    return {
        **dict(_f1_scores(hits, claimed, there)),
        "exact_match": (counts @ right.astype(np.float32)).astype(np.float64)
        / np.maximum(counts.sum(axis=1), 1),
    }


def _f1_scores(
    hits: NDArray[np.float64], claimed: NDArray[np.float64], there: NDArray[np.float64]
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """F1 scores as `mlic.evaluation.decisions` defines them, from sums of shape (R, C)."""
    scored = there > 0
    number = np.maximum(scored.sum(axis=1), 1)

    def mean(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
        shares = part / np.maximum(whole, 1)
        return np.asarray(np.where(scored, shares, 0).sum(axis=1) / number)

    yield "CF1", _harmonic(mean(hits, claimed), mean(hits, there))
    overall = hits.sum(axis=1)
    precision, recall = (overall / np.maximum(w.sum(axis=1), 1) for w in (claimed, there))
    yield "OF1", _harmonic(precision, recall)
    yield "macro_F1", mean(2 * hits, claimed + there)


def _harmonic(p: NDArray[np.float64], r: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(2 * p * r / np.maximum(p + r, np.finfo(np.float64).tiny))


def interval(values: NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of resampled figures, without undefined ones; NaN if all are undefined.

    Examples
    --------
    >>> interval(np.arange(5.0), level=0.5)
    (1.0, 3.0)
    """
    defined = values[~np.isnan(values)]
    if not defined.size:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)

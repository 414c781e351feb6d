"""Calibration: how far probabilities are from the frequencies that they promise.

Cells with an unknown state (−1) are ignored. Probabilities and states have the shape (n, C).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from mlic.evaluation.average_precision import check_scores
from mlic.labels import PRESENT, UNKNOWN

__all__ = [
    "Reliability",
    "brier_decomposition",
    "calibration_metrics",
    "expected_calibration_error",
    "label_calibration_errors",
    "log_loss",
    "reliability",
]

NUM_BINS = 15
MIN_POSITIVES = 20  # of a label whose own calibration error is worth a figure
# A probability of 0 or 1 in float32 stands for anything closer than its rounding.
_CLOSEST = 1e-7


class Reliability(NamedTuple):
    """Cells in bins of their probability; shape (bins,) each, bins without a cell left out.

    Parameters
    ----------
    probability
        Mean probability of the cells.
    frequency
        Share of the cells whose label is present.
    cells
        Number of cells.
    """

    probability: NDArray[np.float64]
    frequency: NDArray[np.float64]
    cells: NDArray[np.int64]


def reliability(
    probabilities: ArrayLike, states: ArrayLike, bins: int = NUM_BINS, equal_count: bool = False
) -> Reliability:
    """Sort the known cells into bins of equal width, or of equal count, of their probability.

    Raises
    ------
    DataError, LabelError
        As for `mlic.evaluation.average_precision`.

    Examples
    --------
    >>> reliability([[0.1], [0.1], [0.9]], [[0], [1], [1]], bins=2).frequency
    array([0.5, 1. ])
    """
    return _bin(*_known_cells(probabilities, states), bins, equal_count)


def _bin(p: NDArray[np.float64], y: NDArray[np.float64], bins: int, equal: bool) -> Reliability:
    if equal:
        # Equal probabilities share a bin, so that the order of the images does not matter.
        places = ((rankdata(p) - 0.5) * bins / max(len(p), 1)).astype(np.intp)
    else:
        places = np.minimum((p * bins).astype(np.intp), bins - 1)
    count = np.bincount(places, minlength=bins)
    sums = [np.bincount(places, weights, minlength=bins)[count > 0] for weights in (p, y)]
    count = count[count > 0]
    return Reliability(sums[0] / count, sums[1] / count, count)


def expected_calibration_error(
    probabilities: ArrayLike, states: ArrayLike, bins: int = NUM_BINS, equal_count: bool = False
) -> float:
    """Mean distance of probability and frequency over the bins, weighted by count (ECE [1]_).

    It is NaN without a known cell. Errors are as for `reliability`.

    References
    ----------
    .. [1] Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
       binning", AAAI 2015.

    Examples
    --------
    >>> expected_calibration_error([[0.5], [0.5], [1.0], [1.0]], [[0], [1], [1], [1]])
    0.0
    """
    return _distance(reliability(probabilities, states, bins, equal_count))


def _distance(found: Reliability) -> float:
    if not len(found.cells):
        return float("nan")
    gaps = np.abs(found.probability - found.frequency)
    return float(np.average(gaps, weights=found.cells))


def label_calibration_errors(
    probabilities: ArrayLike, states: ArrayLike, bins: int = NUM_BINS
) -> NDArray[np.float64]:
    """ECE of every label, in bins of equal count; shape (C,).

    It is NaN for a label with fewer than 20 known positives, whose frequencies are too uncertain.
    Errors are as for `reliability`.
    """
    p, s = check_scores(probabilities, states)
    errors = np.full(s.shape[1], np.nan)
    for label in np.flatnonzero((s == PRESENT).sum(axis=0) >= MIN_POSITIVES):
        column = slice(label, label + 1)
        errors[label] = expected_calibration_error(p[:, column], s[:, column], bins, True)
    return errors


def log_loss(probabilities: ArrayLike, states: ArrayLike) -> float:
    """Mean negative log-likelihood of the known cells, in nats; NaN without one.

    Probabilities closer than 1e-7 to 0 or 1 count as if they were so far from it. Errors are as
    for `reliability`.

    Examples
    --------
    >>> round(log_loss([[0.5, 0.5]], [[1, 0]]), 4)
    0.6931
    """
    return _log_loss(*_known_cells(probabilities, states))


def _log_loss(p: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    p = p.clip(_CLOSEST, 1 - _CLOSEST)
    return float(-np.mean(np.where(y == 1, np.log(p), np.log1p(-p)))) if p.size else float("nan")


def brier_decomposition(
    probabilities: ArrayLike, states: ArrayLike, bins: int = NUM_BINS
) -> dict[str, float]:
    """Mean squared error of the probabilities, and what it consists of (Murphy 1973).

    Returns
    -------
    dict[str, float]
        ``brier``; ``reliability``, the squared distance of probability and frequency;
        ``resolution``, how much the frequencies of the bins differ; ``uncertainty``, the variance
        of the states. ``brier`` is reliability − resolution + uncertainty, apart from the variance
        within the bins. NaN without a known cell. Errors are as for `reliability`.

    Examples
    --------
    >>> parts = brier_decomposition([[0.0], [1.0]], [[0], [1]])
    >>> parts["brier"], parts["reliability"], parts["resolution"], parts["uncertainty"]
    (0.0, 0.0, 0.25, 0.25)
    """
    p, y = _known_cells(probabilities, states)
    if not p.size:
        return dict.fromkeys(("brier", "reliability", "resolution", "uncertainty"), float("nan"))
    found, rate = _bin(p, y, bins, False), y.mean()
    gaps, spread = found.probability - found.frequency, found.frequency - rate
    return {
        "brier": float(np.mean((p - y) ** 2)),
        "reliability": float(np.average(gaps**2, weights=found.cells)),
        "resolution": float(np.average(spread**2, weights=found.cells)),
        "uncertainty": float(rate * (1 - rate)),
    }


def calibration_metrics(probabilities: ArrayLike, states: ArrayLike) -> dict[str, float]:
    """All figures of calibration: errors in both kinds of bins, of the labels, and proper scores.

    Returns
    -------
    dict[str, float]
        ``ECE`` (15 bins of equal width), ``ECE_equal_count``, ``ECE_label_median`` and
        ``ECE_label_worst`` (labels with at least 20 positives), ``log_loss`` and the figures of
        `brier_decomposition`; NaN where a figure is undefined. Errors are as for `reliability`.
    """
    p, s = check_scores(probabilities, states)
    own = label_calibration_errors(p, s)
    own = own[~np.isnan(own)]
    return {
        "ECE": expected_calibration_error(p, s),
        "ECE_equal_count": expected_calibration_error(p, s, equal_count=True),
        "ECE_label_median": float(np.median(own)) if own.size else float("nan"),
        "ECE_label_worst": float(own.max()) if own.size else float("nan"),
        "log_loss": log_loss(p, s),
        **brier_decomposition(p, s),
    }


def _known_cells(
    probabilities: ArrayLike, states: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities and states (0 or 1) of the known cells, flat."""
    p, s = check_scores(probabilities, states)
    known = s != UNKNOWN
    return p[known].astype(np.float64), (s[known] == PRESENT).astype(np.float64)

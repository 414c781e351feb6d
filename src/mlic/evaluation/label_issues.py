"""Label issues: label states that are probably wrong, found by a model of annotation noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlic.labels import PRESENT, UNKNOWN

__all__ = ["error_probabilities", "find_label_issues"]

PROBABLE = 0.5  # error probability from which a state is an issue
_LOWEST_SHARE, _HIGHEST_SHARE = 0.2, 0.02  # cells whose states show the rates of noise
_FEWEST = 50  # cells that a rate is estimated from
_SMALLEST_RATE = 1e-3


def error_probabilities(
    scores: NDArray[np.floating], states: NDArray[np.integer]
) -> NDArray[np.float64]:
    r"""Estimate the probability that each annotated state is wrong.

    An annotation misses a present label with the rate :math:`r_0`, and adds an absent one with the
    rate :math:`r_1`. Among the cells of one score, the label is then annotated in the share
    :math:`f = (1 - r_0) q + r_1 (1 - q)`, where q is the share in which it is truly present. The
    share f is the isotonic regression of the states on the scores; it is :math:`r_1` where the
    scores are lowest, and :math:`1 - r_0` where they are highest. The result is
    :math:`r_1 (1 - q) / f` for an annotated label, and :math:`r_0 q / (1 - f)` for another.

    Parameters
    ----------
    scores
        Scores that rank all cells by how probably the label is present, such as calibrated
        log-odds; shape (n, C). Labels are compared with each other.
    states
        1 present, 0 absent, −1 unknown; shape (n, C).

    Returns
    -------
    numpy.ndarray
        Shape (n, C); 0 where the state is unknown.

    Notes
    -----
    The rates are upper bounds, because a model also gives a low score to some labels that are truly
    present. The method is related to confident learning (Northcutt, Jiang and Chuang, JAIR 2021),
    whose thresholds are means of self-confidence.
    """
    from sklearn.isotonic import IsotonicRegression

    known, result = states != UNKNOWN, np.zeros(states.shape)
    present = states[known] == PRESENT
    if not present.any() or present.all():
        return result  # one state alone contradicts nothing
    z = np.asarray(scores, dtype=np.float64)[known]
    share = IsotonicRegression(out_of_bounds="clip").fit_transform(z, present.astype(np.float64))
    added, missed = _rate(share, _LOWEST_SHARE), _rate(1 - share, _HIGHEST_SHARE)
    share = share.clip(added, 1 - missed)
    truly = (share - added) / (1 - missed - added)
    result[known] = np.where(present, added * (1 - truly) / share, missed * truly / (1 - share))
    return result


def _rate(share: NDArray[np.float64], part: float) -> float:
    """Mean of the smallest values, which are the rate at which the annotation is wrong."""
    number = min(max(int(part * len(share)), _FEWEST), len(share))
    return float(np.clip(np.sort(share)[:number].mean(), _SMALLEST_RATE, 0.4))


def find_label_issues(
    scores: NDArray[np.floating], states: NDArray[np.integer]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Find label states that are more probably wrong than right.

    Parameters
    ----------
    scores, states
        As for `error_probabilities`.

    Returns
    -------
    rows, columns : numpy.ndarray
        Image and label of each issue, most probable error first; shape (m,) each.
    probability : numpy.ndarray
        Probability that the state is wrong, at least 0.5; shape (m,).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.random((500, 2)) < 0.4
    >>> scores, states = rng.normal(np.where(truth, 4, -4)), truth.astype(int)
    >>> states[:20] = 1 - states[:20]
    >>> rows, columns, _ = find_label_issues(scores, states)
    >>> len(rows), int((rows < 20).sum())
    (40, 40)
    """
    probability = error_probabilities(scores, states)
    rows, columns = np.nonzero(probability >= PROBABLE)
    found = probability[rows, columns]
    # stable, so that issues of equal probability stay in the order of the images
    order = np.argsort(-found, kind="stable")
    return rows[order], columns[order], found[order]

"""Label issues: label states that are likely wrong, found by confident learning."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlic.labels import ABSENT, PRESENT

__all__ = ["find_label_issues"]


def find_label_issues(
    probabilities: NDArray[np.floating], states: NDArray[np.integer]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Find label states that a model confidently contradicts (confident learning [1]_).

    As in [2]_, every label is a binary problem: is it present? A state is an issue if two
    conditions hold. The probability of the opposite state is at least its threshold, which is the
    mean probability of that state over the images that have it. And it is above the probability of
    the given state.

    Parameters
    ----------
    probabilities
        Probabilities of a model that was not trained on these images, because a model agrees with
        the states it was trained on; shape (n, C).
    states
        1 present, 0 absent, −1 unknown; an unknown state is never an issue; shape (n, C).

    Returns
    -------
    rows, columns : numpy.ndarray
        Image and label of each issue, lowest self-confidence first; shape (m,) each.
    self_confidence : numpy.ndarray
        Probability of the given state; shape (m,), float64.

    References
    ----------
    .. [1] Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset
       labels", JAIR 2021.
    .. [2] Thyagarajan et al., "Identifying incorrect annotations in multi-label classification
       data", 2022, arXiv:2211.13895.

    Examples
    --------
    >>> probabilities = np.array([[0.9], [0.8], [0.1], [0.2], [0.95]])
    >>> rows, _, confidence = find_label_issues(probabilities, np.array([[1], [1], [0], [0], [0]]))
    >>> rows.tolist(), confidence.round(2).tolist()
    ([4], [0.05])
    """
    found = np.zeros(states.shape, dtype=np.bool_)
    # probability of the given state; values of unknown cells are not used
    given = np.where(states == PRESENT, probabilities, 1 - probabilities).astype(np.float64)
    for state, other in ((PRESENT, ABSENT), (ABSENT, PRESENT)):
        found |= (states == state) & (1 - given >= _threshold(given, states == other))
    rows, columns = np.nonzero(found & (given < 0.5))  # the opposite state is more probable
    # stable, so that issues of equal confidence stay in the order of the images
    order = np.argsort(given[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    return rows, columns, given[rows, columns]


def _threshold(given: NDArray[np.float64], cells: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean self-confidence of a state, over the cells of each label that have it; ∞ if none has."""
    counts = cells.sum(axis=0)
    sums = np.where(cells, given, 0).sum(axis=0)
    mean = np.full(len(counts), np.inf)
    np.divide(sums, counts, out=mean, where=counts > 0)
    return mean

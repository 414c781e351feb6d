"""Labels that are likely wrong, by confident learning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlic.labels import ABSENT, PRESENT

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["find_label_issues"]


def find_label_issues(
    probabilities: NDArray[np.floating], states: NDArray[np.integer]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Find states that a model confidently contradicts (confident learning [1]_).

    Every label is a question of its own, as in [2]_: is it present? A state counts as an issue
    where the probability of the other answer reaches that answer's threshold, which is its mean
    probability wherever it is given, and is above that of the answer given.

    Parameters
    ----------
    probabilities
        Of a model that has not learned from these images, or it will side with the states it
        learned; shape (n, C).
    states
        1 present, 0 absent, −1 unknown, which is never an issue; shape (n, C).

    Returns
    -------
    rows, columns : numpy.ndarray
        Image and label of each issue, the least self-confidence first; shape (m,).
    self_confidence : numpy.ndarray
        Probability of the state as it is given; shape (m,).

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
    given = np.where(states == PRESENT, probabilities, 1 - probabilities).astype(np.float64)
    for state, other in ((PRESENT, ABSENT), (ABSENT, PRESENT)):
        found |= (states == state) & (1 - given >= _threshold(given, states == other))
    rows, columns = np.nonzero(found & (given < 0.5))
    order = np.argsort(given[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    return rows, columns, given[rows, columns]


def _threshold(given: NDArray[np.float64], cells: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean self-confidence of an answer where it is given; infinite where it never is."""
    counts = cells.sum(axis=0)
    sums = np.where(cells, given, 0).sum(axis=0)
    mean = np.full(len(counts), np.inf)
    np.divide(sums, counts, out=mean, where=counts > 0)
    return mean

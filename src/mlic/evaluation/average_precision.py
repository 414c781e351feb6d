"""Average precision: the quality of the ranking of images, for each label and on average."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlic.errors import DataError, LabelError
from mlic.labels import ABSENT, PRESENT
from mlic.labels.matrix import require_states

__all__ = [
    "Scores",
    "States",
    "average_precision",
    "check_scores",
    "mean_average_precision",
    "mean_without_nan",
]

Scores: TypeAlias = NDArray[np.floating]
States: TypeAlias = NDArray[np.integer]


def average_precision(scores: ArrayLike, states: ArrayLike) -> NDArray[np.float64]:
    r"""Non-interpolated average precision of each label.

    .. math:: \mathrm{AP} = \sum_t (R_t - R_{t-1})\, P_t

    over the distinct scores *t* in descending order. Equal scores are one threshold, so that the
    order of the images does not matter.

    Parameters
    ----------
    scores
        Real scores, of which only the order matters; ±inf is allowed; shape (n, C).
    states
        1 present, 0 absent, −1 unknown; shape (n, C).

    Returns
    -------
    NDArray[np.float64]
        Shape (C,); NaN for a label without a known positive, or without a known negative: every
        ranking of its images is then perfect.

    Raises
    ------
    DataError
        If a score is NaN.
    LabelError
        If the shapes differ or a state is not 1, 0 or −1.

    Examples
    --------
    >>> average_precision([[0.9, 0.1], [0.8, 0.1], [0.7, 0.3]], [[1, 0], [0, 0], [1, -1]]).round(4)
    array([0.8333,    nan])
    """
    scores, states = check_scores(scores, states)
    columns = zip(np.ascontiguousarray(scores.T), np.ascontiguousarray(states.T), strict=True)
    return np.array([_label_precision(*column) for column in columns], dtype=np.float64)


def mean_average_precision(scores: ArrayLike, states: ArrayLike) -> float:
    """Mean average precision (mAP) over the labels with a known positive and a known negative.

    It is NaN if there is no such label. Scores, states and errors are as for `average_precision`.

    Examples
    --------
    >>> mean_average_precision([[0.9, 0.1], [0.8, 0.2]], [[1, 1], [0, 1]])
    1.0
    """
    return mean_without_nan(average_precision(scores, states))


def _label_precision(scores: Scores, states: States) -> float:
    """Average precision of one label; scores and states have the shape (n,)."""
    # Recall increases only at positives, so that AP is the mean over positives of the precision at
    # their score. Positives and negatives are sorted separately, and negatives below the lowest
    # positive, which have no influence, not at all.
    positives = np.sort(np.compress(states == PRESENT, scores))
    if not positives.size or not (states == ABSENT).any():
        return float("nan")
    above = (states == ABSENT) & (scores >= positives[0])
    negatives = np.sort(np.compress(above, scores))
    # numbers of positives and negatives with at least the score of each positive
    true = positives.size - _first_of_equals(positives)
    false = negatives.size - np.searchsorted(negatives, positives)
    return float(np.mean(true / (true + false)))


def _first_of_equals(values: Scores) -> NDArray[np.intp]:
    """Position of the first equal value, for each value of a sorted array."""
    # faster than searching each value: positions of repeated values become 0, then the running
    # maximum carries the position of the first one along
    position = np.arange(values.size)
    position[1:][values[1:] == values[:-1]] = 0
    return np.maximum.accumulate(position)


def mean_without_nan(figures: NDArray[np.float64]) -> float:
    """Mean of the figures that are not NaN; NaN if all are."""
    kept = figures[~np.isnan(figures)]
    return float(kept.mean()) if kept.size else float("nan")


def check_scores(scores: ArrayLike, states: ArrayLike) -> tuple[Scores, States]:
    """Convert scores and states, shape (n, C), to arrays; errors are as for `average_precision`."""
    score_array, state_array = np.asarray(scores), np.asarray(states)
    if score_array.ndim != 2 or score_array.shape != state_array.shape:
        raise LabelError(
            f"scores of shape {score_array.shape} do not fit label states of shape "
            f"{state_array.shape}: give one score for each image and label",
            found=score_array.shape,
            expected=state_array.shape,
        )
    missing = np.isnan(score_array)
    if missing.any():
        row, column = np.argwhere(missing)[0]
        raise DataError(
            f"{missing.sum()} scores are NaN, the first at image {row}, label {column}: "
            "the model probably diverged; try a lower learning rate",
            name=(int(row), int(column)),
        )
    require_states(state_array)
    return score_array, state_array

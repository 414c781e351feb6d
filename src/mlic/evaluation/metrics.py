"""Exact multi-label metrics: average precision, and precision, recall and F1 by class and overall.

Rules that hold for all of them:

* unknown states (−1), VOC's difficult objects among them, are ignored, cell by cell;
* a label without a known positive takes no part in a mean over labels; where no label has one,
  the figure is NaN;
* equal scores are one threshold to average precision, and taken in column order by top-k;
* figures are fractions from 0 to 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlic.errors import DataError, LabelError, ParameterError
from mlic.labels import ABSENT, PRESENT, UNKNOWN

__all__ = [
    "average_precision",
    "mean_average_precision",
    "per_label_f1",
    "threshold_metrics",
    "top_k_metrics",
]

Scores = NDArray[np.floating]
States = NDArray[np.integer]


def average_precision(scores: ArrayLike, states: ArrayLike) -> NDArray[np.float64]:
    r"""Non-interpolated average precision of each label.

    .. math:: \mathrm{AP} = \sum_t (R_t - R_{t-1})\, P_t

    over the distinct scores *t* in descending order, so equal scores are one threshold and the
    order of images never matters.

    Parameters
    ----------
    scores
        Any real scores, ±inf included; shape (n, C).
    states
        1 present, 0 absent, −1 unknown; shape (n, C).

    Returns
    -------
    NDArray[np.float64]
        Shape (C,); NaN for a label without a known positive.

    Raises
    ------
    DataError
        If a score is NaN.
    LabelError
        If shapes differ or a state is none of the three.

    Notes
    -----
    Recall rises only at positives, so AP is the mean over positives of the precision at their
    score. Positives and negatives are sorted apart, and negatives below the lowest positive
    cannot matter: they are never sorted at all.

    Examples
    --------
    >>> average_precision([[0.9, 0.1], [0.8, 0.1], [0.7, 0.3]], [[1, 0], [0, 0], [1, -1]]).round(4)
    array([0.8333,    nan])
    """
    scores, states = _check(scores, states)
    columns = zip(np.ascontiguousarray(scores.T), np.ascontiguousarray(states.T), strict=True)
    return np.array([_label_precision(*column) for column in columns], dtype=np.float64)


def mean_average_precision(scores: ArrayLike, states: ArrayLike) -> float:
    """Mean of `average_precision` over the labels with at least one known positive (mAP).

    Parameters
    ----------
    scores, states
        As for `average_precision`.

    Returns
    -------
    float
        NaN if no label has a known positive.

    Raises
    ------
    DataError, LabelError
        As for `average_precision`.

    Examples
    --------
    >>> mean_average_precision([[0.9, 0.1], [0.8, 0.2]], [[1, 0], [0, 0]])
    1.0
    """
    return _mean(average_precision(scores, states))


def threshold_metrics(
    probabilities: ArrayLike, states: ArrayLike, threshold: float = 0.5
) -> dict[str, float]:
    """Precision, recall and F1, by class and overall, of what scores at least a threshold.

    Parameters
    ----------
    probabilities
        Shape (n, C).
    states
        1 present, 0 absent, −1 unknown; shape (n, C).
    threshold
        A label is predicted where its probability is at least this.

    Returns
    -------
    dict[str, float]
        ``CP`` and ``CR``, means of the labels' precision and recall; ``CF1``, the harmonic mean
        of these two, as ML-GCN, C-Tran and PSD print; ``macro_F1``, the mean of the labels' F1,
        which ASL prints as CF1; ``OP``, ``OR`` and ``OF1`` from the counts pooled over all
        labels, those without a known positive included.

    Raises
    ------
    DataError
        If a probability is NaN.
    LabelError
        If shapes differ or a state is none of the three.

    Notes
    -----
    Empty denominators: precision is 0 where nothing is predicted; F1 is 0 where precision and
    recall are both 0; everything is NaN where no label has a known positive.

    Examples
    --------
    >>> figures = threshold_metrics([[0.9, 0.1], [0.6, 0.7]], [[1, 0], [0, 1]])
    >>> figures["CP"], figures["CR"], round(figures["OF1"], 3)
    (0.75, 1.0, 0.8)
    """
    probabilities, states = _check(probabilities, states)
    return _summarise(probabilities >= threshold, states)


def top_k_metrics(
    scores: ArrayLike, states: ArrayLike, k: int = 3, threshold: float | None = None
) -> dict[str, float]:
    """`threshold_metrics` where each image's k highest scores are predicted present.

    Equal scores are taken in column order, so that k stays k. The k are chosen among all labels,
    as a user of the model would; those that fall on an unknown state are then not judged.

    Parameters
    ----------
    scores, states
        As for `average_precision`.
    k
        Labels predicted for each image, 1 to C.
    threshold
        Of the k, only scores of at least this are predicted; None predicts all k, as in [1]_.
        The "top-3" columns of ML-GCN [2]_ and of C-Tran need 0.5, on probabilities.

    Returns
    -------
    dict[str, float]
        The names and rules of `threshold_metrics`.

    Raises
    ------
    ParameterError
        If k is not from 1 to C.
    DataError, LabelError
        As for `average_precision`.

    References
    ----------
    .. [1] Gong et al., "Deep convolutional ranking for multilabel image annotation", ICLR 2014.
    .. [2] Chen et al., "Multi-label image recognition with graph convolutional networks",
       CVPR 2019.

    Examples
    --------
    >>> top_k_metrics([[0.9, 0.2, 0.1]], [[1, 0, 0]], k=2)["OP"]
    0.5
    >>> top_k_metrics([[0.9, 0.2, 0.1]], [[1, 0, 0]], k=2, threshold=0.5)["OP"]
    1.0
    """
    scores, states = _check(scores, states)
    if not 1 <= k <= scores.shape[1]:
        raise ParameterError(
            f"top-k metrics want k from 1 to the number of labels, {scores.shape[1]}, "
            f"but k is {k}: choose another k"
        )
    predicted = _highest(scores, k)
    return _summarise(predicted if threshold is None else predicted & (scores >= threshold), states)


def per_label_f1(
    probabilities: ArrayLike, states: ArrayLike, threshold: float = 0.5
) -> NDArray[np.float64]:
    """F1 of each label where its probability is at least a threshold.

    Parameters
    ----------
    probabilities, states, threshold
        As for `threshold_metrics`.

    Returns
    -------
    NDArray[np.float64]
        Shape (C,); NaN for a label without a known positive.

    Raises
    ------
    DataError, LabelError
        As for `threshold_metrics`.

    Examples
    --------
    >>> per_label_f1([[0.9, 0.1], [0.6, 0.7]], [[1, 0], [0, 1]]).round(3)
    array([0.667, 1.   ])
    """
    probabilities, states = _check(probabilities, states)
    hits, predicted, present = _count(probabilities >= threshold, states)
    return _ratio(2 * hits, np.where(present > 0, predicted + present, 0))


def _label_precision(scores: Scores, states: States) -> float:
    """Average precision of one label, from its column."""
    positives = np.sort(np.compress(states == PRESENT, scores))
    if not positives.size:
        return float("nan")
    above = (states == ABSENT) & (scores >= positives[0])
    negatives = np.sort(np.compress(above, scores))
    true = positives.size - _first_of_equals(positives)
    false = negatives.size - np.searchsorted(negatives, positives)
    return float(np.mean(true / (true + false)))


def _first_of_equals(values: Scores) -> NDArray[np.intp]:
    """Position at which each value's run of equal values starts, in a sorted array."""
    position = np.arange(values.size)
    position[1:][values[1:] == values[:-1]] = 0
    return np.maximum.accumulate(position)


def _highest(scores: Scores, k: int) -> NDArray[np.bool_]:
    """Mark the k highest scores of each row, the leftmost of equals first."""
    descending = np.argsort(scores[:, ::-1], axis=1, kind="stable")[:, ::-1]
    marks = np.zeros(scores.shape, dtype=np.bool_)
    np.put_along_axis(marks, scores.shape[1] - 1 - descending[:, :k], True, axis=1)
    return marks


def _summarise(predicted: NDArray[np.bool_], states: States) -> dict[str, float]:
    """Figures by class and overall, from what is predicted; both shape (n, C)."""
    hits, claims, present = _count(predicted, states)
    judged = present > 0
    precision = np.where(judged, hits / np.maximum(claims, 1), np.nan)
    class_precision, class_recall = _mean(precision), _mean(_ratio(hits, present))
    if not judged.any():
        overall_precision = overall_recall = float("nan")
    else:
        overall_precision = float(hits.sum() / max(claims.sum(), 1))
        overall_recall = float(hits.sum() / present.sum())
    return {
        "CP": class_precision,
        "CR": class_recall,
        "CF1": _harmonic(class_precision, class_recall),
        "macro_F1": _mean(_ratio(2 * hits, np.where(judged, claims + present, 0))),
        "OP": overall_precision,
        "OR": overall_recall,
        "OF1": _harmonic(overall_precision, overall_recall),
    }


def _count(
    predicted: NDArray[np.bool_], states: States
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Count each label's true positives, predictions and positives among the known; shape (C,)."""
    present = states == PRESENT
    hits = np.count_nonzero(predicted & present, axis=0)
    claims = np.count_nonzero(predicted & (states != UNKNOWN), axis=0)
    return hits, claims, np.count_nonzero(present, axis=0)


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Divide, NaN where the whole is 0."""
    quotient = np.full(part.shape, np.nan)
    np.divide(part, whole, out=quotient, where=whole > 0)
    return quotient


def _mean(figures: NDArray[np.float64]) -> float:
    """Mean of the figures that are not NaN; NaN if none is left."""
    kept = figures[~np.isnan(figures)]
    return float(kept.mean()) if kept.size else float("nan")


def _harmonic(precision: float, recall: float) -> float:
    """Harmonic mean of two fractions, 0 where both are 0."""
    total = precision + recall
    return 2 * precision * recall / total if total != 0 else 0.0


def _check(scores: ArrayLike, states: ArrayLike) -> tuple[Scores, States]:
    """Return both as arrays of one shape, free of NaN and of strange states."""
    score_array, state_array = np.asarray(scores), np.asarray(states)
    if score_array.ndim != 2 or score_array.shape != state_array.shape:
        raise LabelError(
            f"scores of shape {score_array.shape} do not fit label states of shape "
            f"{state_array.shape}: give one score for each image and label"
        )
    missing = np.isnan(score_array)
    if missing.any():
        row, column = np.argwhere(missing)[0]
        raise DataError(
            f"{missing.sum()} scores are NaN, the first at image {row}, label {column}: "
            "find where the model diverged (a lower learning rate often mends it)"
        )
    if not ((state_array == PRESENT) | (state_array == ABSENT) | (state_array == UNKNOWN)).all():
        raise LabelError("a label state is neither 1 (present), 0 (absent) nor -1 (unknown)")
    return score_array, state_array

"""Precision, recall and F1 of decisions: labels above a threshold, or the k highest scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlic.errors import ParameterError
from mlic.evaluation.average_precision import Scores, States, check_scores, mean_without_nan
from mlic.labels import PRESENT, UNKNOWN

__all__ = [
    "decision_metrics",
    "highest_labels",
    "per_label_f1",
    "threshold_metrics",
    "top_k_metrics",
]


def threshold_metrics(
    probabilities: ArrayLike, states: ArrayLike, threshold: float = 0.5
) -> dict[str, float]:
    """Precision, recall and F1, per class and overall, of scores at or above a threshold.

    Parameters
    ----------
    probabilities
        Shape (n, C).
    states
        1 present, 0 absent, −1 unknown; shape (n, C).
    threshold
        A label is predicted for an image if its probability is at least this.

    Returns
    -------
    dict[str, float]
        ``CP`` and ``CR``, the means over labels of precision and recall; ``CF1``, the harmonic mean
        of CP and CR, as reported by ML-GCN, C-Tran and PSD; ``macro_F1``, the mean over labels of
        F1, which ASL reports as CF1; ``OP``, ``OR`` and ``OF1``, from the counts summed over all
        labels, including labels without a known positive. Precision is 0 if nothing is predicted,
        and F1 is 0 if precision and recall are; all figures are NaN without any known positive.

    Raises
    ------
    DataError, LabelError
        As for `average_precision`.

    Examples
    --------
    >>> figures = threshold_metrics([[0.9, 0.1], [0.6, 0.7]], [[1, 0], [0, 1]])
    >>> figures["CP"], figures["CR"], round(figures["OF1"], 3)
    (0.75, 1.0, 0.8)
    """
    probabilities, states = check_scores(probabilities, states)
    return _summarise(probabilities >= threshold, states)


def top_k_metrics(
    scores: ArrayLike, states: ArrayLike, k: int = 3, threshold: float | None = None
) -> dict[str, float]:
    """Precision, recall and F1 if the k labels with the highest scores are predicted per image.

    Equal scores are ranked in column order, so that exactly k labels are selected. They are
    selected from all labels, as in use; predictions for unknown states are then ignored.

    Parameters
    ----------
    scores, states
        As for `average_precision`, with the same errors.
    k
        Number of labels predicted for each image, from 1 to C; another is a `ParameterError`.
    threshold
        Of the k labels, only those that score at least this are predicted; None predicts all k, as
        in [1]_. The "top-3" columns of ML-GCN [2]_ and of C-Tran need 0.5, on probabilities.

    Returns
    -------
    dict[str, float]
        Same keys and rules as `threshold_metrics`.

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
    scores, states = check_scores(scores, states)
    if not 1 <= k <= scores.shape[1]:
        raise ParameterError(
            f"top-k metrics need k from 1 to the number of labels, {scores.shape[1]}, "
            f"but k is {k}: choose another k",
            parameter="k",
            value=k,
            expected=scores.shape[1],
        )
    predicted = highest_labels(scores, k)
    return _summarise(predicted if threshold is None else predicted & (scores >= threshold), states)


def decision_metrics(predicted: NDArray[np.bool_], states: ArrayLike) -> dict[str, float]:
    """Figures of decisions, however they were made.

    Parameters
    ----------
    predicted
        Whether a label is predicted for an image; shape (n, C). Predictions for unknown states are
        ignored.
    states
        1 present, 0 absent, −1 unknown; shape (n, C).

    Returns
    -------
    dict[str, float]
        The figures of `threshold_metrics`; ``exact_match``, the share of images all of whose known
        states are predicted rightly; ``predicted_labels`` and ``present_labels``, the mean number
        of known labels of an image that are predicted and that are present.

    Raises
    ------
    LabelError
        If the shapes differ or a state is not 1, 0 or −1.

    Examples
    --------
    >>> figures = decision_metrics(np.array([[True, False], [True, True]]), [[1, 0], [1, 0]])
    >>> figures["exact_match"], figures["predicted_labels"], figures["present_labels"]
    (0.5, 1.5, 1.0)
    """
    _, checked = check_scores(predicted.astype(np.float32), states)
    known, present = checked != UNKNOWN, checked == PRESENT
    right = ((predicted == present) | ~known).all(axis=1)
    return {
        **_summarise(predicted, checked),
        "exact_match": float(right.mean()) if len(right) else float("nan"),
        "predicted_labels": float((predicted & known).sum(axis=1).mean()),
        "present_labels": float(present.sum(axis=1).mean()),
    }


def per_label_f1(
    probabilities: ArrayLike, states: ArrayLike, threshold: float = 0.5
) -> NDArray[np.float64]:
    """F1 of each label, if it is predicted at or above a threshold; shape (C,), float64.

    F1 is NaN for a label without a known positive. Parameters and errors are as for
    `threshold_metrics`.

    Examples
    --------
    >>> per_label_f1([[0.9, 0.1], [0.6, 0.7]], [[1, 0], [0, 1]]).round(3)
    array([0.667, 1.   ])
    """
    probabilities, states = check_scores(probabilities, states)
    return _f1(*_count(probabilities >= threshold, states))


def highest_labels(scores: Scores, k: int) -> NDArray[np.bool_]:
    """Mark the k highest scores of each row; of equal scores the leftmost come first.

    Scores and marks have the shape (n, C).
    """
    # A stable sort of the reversed row, read backwards, puts the leftmost of equal scores first.
    descending = np.argsort(scores[:, ::-1], axis=1, kind="stable")[:, ::-1]
    marks = np.zeros(scores.shape, dtype=np.bool_)
    np.put_along_axis(marks, scores.shape[1] - 1 - descending[:, :k], True, axis=1)
    return marks


def _summarise(predicted: NDArray[np.bool_], states: States) -> dict[str, float]:
    """Compute the figures per class and overall from predictions and states of shape (n, C)."""
    hits, predictions, present = _count(predicted, states)
    evaluated = present > 0
    # a label that is never predicted has the precision 0, not NaN, as in scikit-learn
    precision = np.where(evaluated, hits / np.maximum(predictions, 1), np.nan)
    class_precision = mean_without_nan(precision)
    class_recall = mean_without_nan(_ratio(hits, present))
    if not evaluated.any():
        overall_precision = overall_recall = float("nan")
    else:
        # sums include labels without a positive: wrong predictions of them are errors too
        overall_precision = float(hits.sum() / max(predictions.sum(), 1))
        overall_recall = float(hits.sum() / present.sum())
    return {
        "CP": class_precision,
        "CR": class_recall,
        "CF1": _harmonic(class_precision, class_recall),
        "macro_F1": mean_without_nan(_f1(hits, predictions, present)),
        "OP": overall_precision,
        "OR": overall_recall,
        "OF1": _harmonic(overall_precision, overall_recall),
    }


def _count(
    predicted: NDArray[np.bool_], states: States
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Count true positives, predictions and positives of each label, if known; shape (C,) each."""
    present = states == PRESENT
    # a prediction for an unknown state is neither right nor wrong
    hits = np.count_nonzero(predicted & present, axis=0)
    predictions = np.count_nonzero(predicted & (states != UNKNOWN), axis=0)
    return hits, predictions, np.count_nonzero(present, axis=0)


def _f1(
    hits: NDArray[np.int64], predictions: NDArray[np.int64], present: NDArray[np.int64]
) -> NDArray[np.float64]:
    # 2 hits / (predictions + present) needs no special case for labels that are never predicted
    return _ratio(2 * hits, np.where(present > 0, predictions + present, 0))


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Divide; NaN where the denominator is 0."""
    quotient = np.full(part.shape, np.nan)
    np.divide(part, whole, out=quotient, where=whole > 0)
    return quotient


def _harmonic(precision: float, recall: float) -> float:
    """Harmonic mean of two fractions, 0 where both are 0."""
    total = precision + recall
    return 2 * precision * recall / total if total != 0 else 0.0

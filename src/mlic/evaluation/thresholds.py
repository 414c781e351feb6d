"""Thresholds: from which probability a label counts as predicted.

The rules of `EXPECTED_RULES` read calibrated probabilities alone, so that they need no labels;
those of `TUNED_RULES` are tuned on known states.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlic.errors import ParameterError
from mlic.labels import PRESENT, UNKNOWN

__all__ = [
    "EXPECTED_RULES",
    "RULES",
    "TARGET_DEFAULTS",
    "TUNED_RULES",
    "choose_thresholds",
]

# rules that need no labels, and what their target means by default
EXPECTED_RULES = ("expected_f1", "precision", "recall", "cost", "top_k")
TUNED_RULES = ("tuned_f1", "global_f1")
RULES = EXPECTED_RULES + TUNED_RULES
TARGET_DEFAULTS = {"precision": 0.8, "recall": 0.8, "cost": 1.0, "top_k": 3.0}


def choose_thresholds(
    probabilities: NDArray[np.floating],
    states: NDArray[np.integer] | None,
    rule: str = "expected_f1",
    target: float | None = None,
) -> NDArray[np.float64]:
    r"""Choose a threshold for each label.

    Parameters
    ----------
    probabilities
        Calibrated probabilities q; shape (n, C).
    states
        1 present, 0 absent, −1 unknown; shape (n, C). Read by the tuned rules only.
    rule
        ``expected_f1`` maximises the expected F1 of the label,
        :math:`2 \sum_{q \ge t} q / (N_{q \ge t} + \sum q)`. ``precision`` takes the lowest
        threshold whose expected precision, the mean of q above it, reaches the target; ``recall``
        the highest whose expected recall does. ``cost`` takes the threshold ``1 / (1 + target)``,
        where the target is the cost of a missed label divided by that of a wrong one. ``tuned_f1``
        maximises the F1 of each label on the known states, ``global_f1`` one threshold's F1 over
        all cells. ``top_k`` predicts the target number of labels for every image, whatever their
        probability: all thresholds are 0.
    target
        See the rules; None is the rule's default.

    Returns
    -------
    numpy.ndarray
        Shape (C,), float64, half-way between two probabilities. Where no threshold reaches a
        target, it is above 1: the label is never predicted.

    Raises
    ------
    ParameterError
        If the rule is unknown, the target is out of range, or a tuned rule has no states.

    Examples
    --------
    >>> q = np.array([[0.9], [0.6], [0.1]])
    >>> choose_thresholds(q, None).tolist()
    [0.35]
    >>> choose_thresholds(q, None, "cost", target=3.0).tolist()
    [0.25]
    """
    target = _check(rule, target, states)
    q, num_labels = np.asarray(probabilities, dtype=np.float64), probabilities.shape[1]
    if rule == "top_k":
        return np.zeros(num_labels)
    if rule == "cost":
        return np.full(num_labels, 1 / (1 + target))
    if rule in EXPECTED_RULES:
        best = {"expected_f1": _best_f1, "precision": _lowest_precise, "recall": _highest_complete}
        return np.array([best[rule](column, column, target) for column in q.T])
    assert states is not None
    known, present = states != UNKNOWN, (states == PRESENT).astype(np.float64)
    if rule == "global_f1":
        return np.full(num_labels, _best_f1(q[known], present[known], target))
    columns = zip(q.T, present.T, known.T, strict=True)
    return np.array([_best_f1(column[k], y[k], target) for column, y, k in columns])


def _check(rule: str, target: float | None, states: NDArray[np.integer] | None) -> float:
    """Return the target; raise a `ParameterError` for what does not go together."""
    if rule not in RULES:
        raise ParameterError(
            f"calibration.rule: unknown rule '{rule}'; known are {', '.join(RULES)}",
            parameter="calibration.rule",
            value=rule,
        )
    if rule in TUNED_RULES and states is None:
        raise ParameterError(
            f"calibration.rule: '{rule}' is tuned on known labels: give the states, or choose one "
            f"of {', '.join(EXPECTED_RULES)}",
            parameter="calibration.rule",
            value=rule,
        )
    value = TARGET_DEFAULTS.get(rule, 0.0) if target is None else float(target)
    is_share = rule in ("precision", "recall")
    if (is_share and not 0 < value <= 1) or (rule in ("cost", "top_k") and not value > 0):
        wanted = "above 0 and at most 1" if is_share else "above 0"
        raise ParameterError(
            f"calibration.target: the target of '{rule}' must be {wanted}, but it is {value}",
            parameter="calibration.target",
            value=value,
        )
    return value


def _descending(
    scores: NDArray[np.float64], truth: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Thresholds from the highest, the number of cells and the sum of truth above each of them."""
    order = np.argsort(-scores, kind="stable")
    scores, sums = scores[order], np.cumsum(truth[order])
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))  # equal scores go together
    # Half-way to the next score, so that rounding to float32 changes no decision.
    levels = (scores[last] + np.append(scores[last][1:], 0)) / 2
    return levels, (last + 1).astype(np.float64), sums[last]


def _best_f1(scores: NDArray[np.float64], truth: NDArray[np.float64], _: float) -> float:
    """Threshold with the highest F1, where truth is a state, or the probability of it."""
    if not truth.sum():
        return 0.5  # no threshold is better than another
    levels, counts, hits = _descending(scores, truth)
    return float(levels[np.argmax(2 * hits / (counts + truth.sum()))])


def _lowest_precise(
    scores: NDArray[np.float64], truth: NDArray[np.float64], target: float
) -> float:
    levels, counts, hits = _descending(scores, truth)
    # The mean of the highest probabilities falls with every further one, apart from rounding.
    enough = np.flatnonzero(hits >= (target - 1e-12) * counts)
    return float(levels[enough[-1]]) if enough.size else float(np.nextafter(1, 2))


def _highest_complete(
    scores: NDArray[np.float64], truth: NDArray[np.float64], target: float
) -> float:
    levels, _, hits = _descending(scores, truth)
    return float(levels[np.argmax(hits >= (target - 1e-12) * truth.sum())])

"""Thresholds of every rule, against exhaustive search and the definition of the rule."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score

from mlic.errors import ParameterError
from mlic.evaluation.thresholds import RULES, choose_thresholds

RNG = np.random.default_rng(0)
Q = RNG.random((300, 4)) ** 2
STATES = (RNG.random(Q.shape) < Q).astype(np.int8)
COLUMN = arrays(np.float64, st.tuples(st.integers(1, 30), st.just(1)), elements=st.floats(0, 1))


def expected_f1(q, threshold):
    above = q >= threshold
    return 2 * q[above].sum() / (above.sum() + q.sum())


@given(COLUMN)
def test_expected_f1_is_the_highest_of_all_thresholds(q):
    found = expected_f1(q, choose_thresholds(q, None)[0]) if q.sum() else 0
    best = max(expected_f1(q, t) for t in q.ravel()) if q.sum() else 0
    assert found == pytest.approx(best)


def test_tuned_f1_is_the_highest_of_all_thresholds():
    thresholds = choose_thresholds(Q, STATES, "tuned_f1")
    for label, threshold in enumerate(thresholds):
        scores = [f1_score(STATES[:, label], Q[:, label] >= t) for t in Q[:, label]]
        assert f1_score(STATES[:, label], Q[:, label] >= threshold) == pytest.approx(max(scores))


def test_global_threshold_has_the_highest_overall_f1():
    (threshold,) = set(choose_thresholds(Q, STATES, "global_f1").tolist())
    flat, scores = STATES.ravel(), Q.ravel()
    best = max(f1_score(flat, scores >= t) for t in np.quantile(scores, np.linspace(0, 1, 200)))
    assert f1_score(flat, scores >= threshold) >= best


@pytest.mark.parametrize("target", [0.4, 0.6, 0.9])
def test_precision_is_reached_by_the_lowest_possible_threshold(target):
    for q, threshold in zip(Q.T, choose_thresholds(Q, None, "precision", target), strict=True):
        above = np.sort(q[q >= threshold])
        assert above.mean() >= target
        following = q[q < threshold].max(initial=0)
        assert np.append(above, following).mean() < target


@pytest.mark.parametrize("target", [0.4, 0.6, 1.0])
def test_recall_is_reached_by_the_highest_possible_threshold(target):
    for q, threshold in zip(Q.T, choose_thresholds(Q, None, "recall", target), strict=True):
        above = np.sort(q[q >= threshold])
        assert above.sum() >= (target - 1e-9) * q.sum()
        assert above[1:].sum() < target * q.sum()


def test_unreachable_precision_predicts_nothing():
    assert choose_thresholds(np.full((5, 1), 0.3), None, "precision", 0.9)[0] > 1


def test_cost_of_a_missed_label_lowers_the_threshold():
    # predict where the expected cost of a wrong label, 1 − q, is below that of a missed one, 4 q
    assert choose_thresholds(Q, None, "cost", 4).tolist() == pytest.approx([0.2] * 4)


def test_thresholds_do_not_depend_on_rounding_to_float32():
    thresholds = choose_thresholds(Q, None)
    assert np.array_equal(thresholds <= Q, Q.astype(np.float32) >= thresholds)


def test_tuned_rules_ignore_unknown_states():
    unknown = STATES.copy()
    unknown[:150] = -1
    expected = choose_thresholds(Q[150:], STATES[150:], "tuned_f1")
    assert np.array_equal(choose_thresholds(Q, unknown, "tuned_f1"), expected)


def test_label_that_is_never_present_keeps_one_half():
    none = np.zeros_like(STATES)
    assert choose_thresholds(Q, none, "tuned_f1").tolist() == [0.5] * 4


@pytest.mark.parametrize(
    ("rule", "target"),
    [("best", None), ("precision", 0.0), ("recall", 1.1), ("cost", -1), ("top_k", 0)],
)
def test_wrong_rule_or_target_is_refused(rule, target):
    with pytest.raises(ParameterError) as raised:
        choose_thresholds(Q, STATES, rule, target)
    assert raised.value.fields["parameter"].startswith("calibration.")


@pytest.mark.parametrize("rule", ["tuned_f1", "global_f1"])
def test_tuned_rules_need_states(rule):
    with pytest.raises(ParameterError):
        choose_thresholds(Q, None, rule)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_gives_one_threshold_a_label(rule):
    assert choose_thresholds(Q, STATES, rule).shape == (4,)

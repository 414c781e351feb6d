"""Figures of calibration, against scikit-learn, torchmetrics and cases that are known exactly."""

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as reference_log_loss
from torchmetrics.functional.classification import binary_calibration_error

from mlic.errors import DataError
from mlic.evaluation.calibration import (
    brier_decomposition,
    calibration_metrics,
    expected_calibration_error,
    label_calibration_errors,
    log_loss,
    reliability,
)

RNG = np.random.default_rng(0)
P = RNG.random((400, 5)) ** 2
STATES = (RNG.random(P.shape) < np.sqrt(P)).astype(np.int8)  # too few are promised
STATES[RNG.random(P.shape) < 0.1] = -1
KNOWN = STATES >= 0


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_reliability_equals_the_curve_of_scikit_learn(strategy):
    found = reliability(P, STATES, 10, equal_count=strategy == "quantile")
    frequency, probability = calibration_curve(
        STATES[KNOWN], P[KNOWN], n_bins=10, strategy=strategy
    )
    tolerance = 1e-12 if strategy == "uniform" else 0.02  # scikit-learn interpolates the edges
    np.testing.assert_allclose(found.frequency, frequency, atol=tolerance)
    np.testing.assert_allclose(found.probability, probability, atol=tolerance)
    assert found.cells.sum() == KNOWN.sum()


def test_calibration_error_equals_that_of_torchmetrics():
    # torchmetrics has the confidence of the decision instead of the probability of presence;
    # the two agree where every probability is above one half
    high = 0.5 + P[KNOWN] / 2
    expected = binary_calibration_error(torch.tensor(high), torch.tensor(STATES[KNOWN]), 15)
    found = expected_calibration_error(high[:, None], STATES[KNOWN][:, None])
    assert found == pytest.approx(float(expected), abs=1e-5)


def test_proper_scores_equal_those_of_scikit_learn():
    assert log_loss(P, STATES) == pytest.approx(reference_log_loss(STATES[KNOWN], P[KNOWN]))
    found = brier_decomposition(P, STATES)
    assert found["brier"] == pytest.approx(brier_score_loss(STATES[KNOWN], P[KNOWN]))


def test_brier_score_is_the_sum_of_its_parts_where_bins_hold_one_probability():
    p = RNG.choice([0.1, 0.35, 0.8], size=(300, 2))
    states = (RNG.random(p.shape) < 0.4).astype(np.int8)
    found = brier_decomposition(p, states)
    total = found["reliability"] - found["resolution"] + found["uncertainty"]
    assert found["brier"] == pytest.approx(total)


def test_frequencies_as_promised_have_no_error():
    p = np.repeat([0.25, 0.75], 4)[:, None]
    states = np.array([0, 0, 0, 1, 1, 1, 1, 0])[:, None]
    assert expected_calibration_error(p, states) == pytest.approx(0)


def test_unknown_states_do_not_count():
    changed = np.where(KNOWN, P, 0.123)
    assert calibration_metrics(changed, STATES) == calibration_metrics(P, STATES)


def test_error_of_a_rare_label_is_undefined():
    states = np.zeros((100, 2), np.int8)
    states[:30, 0], states[:19, 1] = 1, 1
    errors = label_calibration_errors(np.full((100, 2), 0.3), states)
    assert errors[0] == pytest.approx(0)
    assert np.isnan(errors[1])


def test_figures_without_a_known_state_are_undefined():
    assert all(np.isnan(v) for v in calibration_metrics(P[:3], np.full((3, 5), -1)).values())


def test_certain_and_wrong_probabilities_have_a_finite_loss():
    assert log_loss([[0.0]], [[1]]) == pytest.approx(-np.log(1e-7))


def test_nan_is_refused():
    with pytest.raises(DataError):
        reliability([[np.nan]], [[1]])

"""Calibration of logits that were drawn as a trained model would have them."""

import json

import numpy as np
import pytest
import torch

import mlic
from mlic.errors import DataError, LabelError, ParameterError
from mlic.evaluation.calibration import expected_calibration_error
from mlic.losses.asymmetric import AsymmetricLoss
from mlic.training.calibration import Calibration


def settled_logits(num_images=4000, num_labels=3, seed=0):
    """Logits at which the expected gradient of the asymmetric loss is zero, and drawn states."""
    rng = np.random.default_rng(seed)
    q = rng.beta(0.5, 1.5, size=(num_images, num_labels)).clip(0.01, 0.9)
    grid = torch.linspace(-3, 12, 20_000, dtype=torch.float64)
    odds = AsymmetricLoss().link(grid).numpy()
    logits = np.interp(np.log(q / (1 - q)), odds, grid.numpy())
    return logits, (rng.random(q.shape) < q).astype(np.int8), q


LOGITS, STATES, Q = settled_logits()


def test_link_alone_recovers_the_probabilities_of_a_settled_model():
    found = mlic.calibrate(LOGITS, loss="asymmetric").probabilities(LOGITS)
    np.testing.assert_allclose(found, Q, atol=2e-3)


def test_link_alone_is_calibrated_where_the_sigmoid_is_not():
    found = mlic.calibrate(LOGITS).probabilities(LOGITS)
    assert expected_calibration_error(found, STATES) < 0.02
    assert expected_calibration_error(torch.tensor(LOGITS).sigmoid().numpy(), STATES) > 0.2


def test_fit_undoes_an_over_confident_model():
    confident = LOGITS + 0.7
    found = mlic.calibrate(confident, STATES)
    assert found.made_from["fit"] in ("global", "per_label")
    assert expected_calibration_error(found.probabilities(confident), STATES) < 0.02


def test_ranking_of_images_does_not_change():
    found = mlic.calibrate(LOGITS, STATES, fit="global").probabilities(LOGITS)
    for column, logits in zip(found.T, LOGITS.T, strict=True):
        assert (np.diff(column[np.argsort(logits)]) >= 0).all()


def test_unknown_states_are_left_out():
    unknown = STATES.copy()
    unknown[2000:] = -1
    wrong = unknown.copy()
    found = mlic.calibrate(LOGITS, wrong, fit="per_label", rule="tuned_f1")
    expected = mlic.calibrate(LOGITS[:2000], STATES[:2000], fit="per_label", rule="tuned_f1")
    np.testing.assert_allclose(found.slopes, expected.slopes, atol=0.02)
    assert found.made_from["known_states"] == 6000


def test_top_k_decides_image_by_image():
    found = mlic.calibrate(LOGITS, rule="top_k", target=2)
    assert (found.decide(found.probabilities(LOGITS)).sum(axis=1) == 2).all()


def test_calibration_survives_json():
    found = mlic.calibrate(LOGITS, STATES, fit="per_label")
    again = Calibration.model_validate_json(json.dumps(found.model_dump(mode="json")))
    assert again == found


def test_module_computes_the_same_probabilities():
    found = mlic.calibrate(LOGITS, STATES, fit="per_label")
    with torch.inference_mode():
        probabilities = found.module()(torch.tensor(LOGITS, dtype=torch.float32))
    np.testing.assert_allclose(probabilities.numpy(), found.probabilities(LOGITS), atol=1e-5)


def test_wrong_input_is_refused():
    with pytest.raises(DataError):
        mlic.calibrate(np.empty((0, 3)))
    with pytest.raises(LabelError):
        mlic.calibrate(LOGITS, STATES[:, :2])
    with pytest.raises(ParameterError):
        mlic.calibrate(LOGITS, fit="best")
    with pytest.raises(ParameterError):
        mlic.calibrate(LOGITS, loss="hinge")

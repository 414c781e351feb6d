"""Fits of slope and bias, against scikit-learn's logistic regression."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from mlic.evaluation.calibration import log_loss
from mlic.evaluation.logistic_fit import LogisticFit, choose_fit, fit_global, fit_labels


def draw(num_images, slopes, biases, seed=0):
    """Log-odds, and states drawn with the probabilities that slopes and biases give."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(size=(num_images, len(slopes)), scale=2)
    states = (rng.random(odds.shape) < expit(np.array(slopes) * odds + np.array(biases))) * 1
    return odds, states.astype(np.int8)


def test_global_fit_equals_unpenalised_logistic_regression():
    odds, states = draw(500, [0.5, 1.5], [0.3, -1])
    states[::7, 0] = -1
    known = states >= 0
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(odds[known][:, None], states[known])
    found = fit_global(odds, states)
    assert found.slopes == pytest.approx(np.repeat(reference.coef_.item(), 2), abs=1e-5)
    assert found.biases == pytest.approx(np.repeat(reference.intercept_.item(), 2), abs=1e-5)


def test_fit_of_a_label_equals_ridge_regression_around_the_global_fit():
    odds, states = draw(400, [0.5, 2.0], [1, -1])
    width, common = 0.3, fit_global(odds, states)
    found = fit_labels(odds, states, width)

    def objective(slope, bias, label):
        z = slope * odds[:, label] + bias
        fit = np.sum(np.logaddexp(0, z) - states[:, label] * z)
        prior = (slope - common.slopes[label]) ** 2 + (bias - common.biases[label]) ** 2
        return fit + prior / (2 * width**2)

    for label in (0, 1):
        best = objective(found.slopes[label], found.biases[label], label)
        for step in np.array([[1, 0], [-1, 0], [0, 1], [0, -1]]) * 1e-3:
            moved = (found.slopes[label] + step[0], found.biases[label] + step[1])
            assert objective(*moved, label) > best


def test_narrow_prior_is_the_global_fit_and_wide_prior_the_fit_alone():
    odds, states = draw(600, [0.5, 2.0], [1, -1])
    narrow, wide = (fit_labels(odds, states, width) for width in (1e-5, 1e5))
    assert narrow.slopes == pytest.approx(fit_global(odds, states).slopes, abs=1e-4)
    alone = fit_global(odds[:, :1], states[:, :1])
    assert wide.slopes[0] == pytest.approx(alone.slopes[0], abs=1e-4)


def test_label_without_a_positive_stays_near_the_others():
    odds, states = draw(300, [1, 1, 1], [0, 0, 0])
    states[:, 2] = 0
    common = fit_global(odds, states).biases[2]
    near, far = (fit_labels(odds, states, width).biases[2] for width in (0.1, 1.0))
    assert far < near < common
    assert np.isfinite(far)


@pytest.mark.parametrize(
    ("slopes", "biases", "kind"),
    [
        ([1, 1, 1, 1], [0, 0, 0, 0], {"none", "global"}),
        ([0.4, 0.4, 0.4, 0.4], [1, 1, 1, 1], {"global", "per_label"}),
        ([0.3, 2.0, 1.0, 0.5], [2, -2, 0, 1], {"per_label"}),
    ],
)
def test_choice_follows_what_is_left_to_fit(slopes, biases, kind):
    fit, losses = choose_fit(*draw(600, slopes, biases))
    assert fit.kind in kind
    assert len(losses) == 5


def test_chosen_fit_lowers_the_loss_of_fresh_images():
    truth = ([0.3, 2.0, 1.0, 0.5], [2, -2, 0, 1])
    fit, _ = choose_fit(*draw(600, *truth))
    odds, states = draw(5000, *truth, seed=1)
    before = log_loss(LogisticFit.identity(4).probabilities(odds), states)
    ideal = log_loss(expit(np.array(truth[0]) * odds + np.array(truth[1])), states)
    after = log_loss(fit.probabilities(odds), states)
    assert ideal < after < ideal + 0.2 * (before - ideal)


def test_slopes_stay_positive_where_labels_contradict_the_model():
    odds, states = draw(300, [1], [0])
    assert fit_global(odds, 1 - states).slopes[0] > 0


@pytest.mark.parametrize("kind", ["none", "global", "per_label"])
def test_kind_of_fit_can_be_asked_for(kind):
    assert choose_fit(*draw(200, [0.3, 2.0], [2, -2]), kind)[0].kind == kind

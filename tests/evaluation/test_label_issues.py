"""Label issues are the planted errors, and their probabilities keep what they promise."""

import numpy as np
import pytest

from mlic.evaluation.label_issues import error_probabilities, find_label_issues


def plant(seed=0, missed=0.05, added=0.02, distance=2.5, number=4000):
    """Scores that follow the truth, and states of which some are wrong."""
    rng = np.random.default_rng(seed)
    truth = rng.random((number, 3)) < 0.3
    wrong = rng.random(truth.shape) < np.where(truth, missed, added)
    scores = rng.normal(np.where(truth, distance, -distance), 1)
    return scores, (truth ^ wrong).astype(np.int8), wrong


def test_planted_errors_come_first():
    scores, states, wrong = plant()
    rows, columns, probability = find_label_issues(scores, states)
    found = wrong[rows, columns]
    assert found[: wrong.sum() // 2].mean() > 0.95
    assert found.sum() > 0.7 * wrong.sum()
    assert (np.diff(probability) <= 0).all() and probability.min() >= 0.5


@pytest.mark.parametrize("distance", [1.5, 2.5])
def test_probabilities_are_those_of_the_true_model(distance):
    missed, added = 0.1, 0.05
    scores, states, _ = plant(missed=missed, added=added, distance=distance, number=20_000)
    q = 1 / (1 + 0.7 / 0.3 * np.exp(-2 * distance * scores))  # by Bayes' rule
    share = (1 - missed) * q + added * (1 - q)
    expected = np.where(states == 1, added * (1 - q) / share, missed * q / (1 - share))
    found = error_probabilities(scores, states)
    assert np.abs(found - expected).mean() < 0.02


def test_error_probability_grows_with_the_contradiction():
    scores, states, _ = plant(distance=1.5)
    found = error_probabilities(scores, states)
    for state, sign in ((0, 1), (1, -1)):
        cells = states == state
        order = np.argsort(sign * scores[cells])
        assert (np.diff(found[cells][order]) >= -1e-12).all()


def test_unknown_states_are_no_issues_and_do_not_count():
    scores, states, _ = plant()
    unknown = states.copy()
    unknown[::3, 1] = -1
    found = error_probabilities(np.where(unknown == -1, 1e3, scores), unknown)
    assert (found[unknown == -1] == 0).all()
    rest = unknown != -1
    alone = error_probabilities(scores[rest][:, None], states[rest][:, None]).ravel()
    np.testing.assert_allclose(found[rest], alone)


@pytest.mark.parametrize("state", [-1, 0, 1])
def test_one_state_alone_has_no_issues(state):
    assert not find_label_issues(np.zeros((9, 2)), np.full((9, 2), state))[0].size


def test_states_without_errors_have_few_issues():
    scores, states, _ = plant(missed=0, added=0, distance=4)
    assert len(find_label_issues(scores, states)[0]) <= 3

"""What known labels say about the others: influences, surprises, fitted strengths."""

import numpy as np
import pytest
from scipy.special import expit, logit

from mlic.evaluation.refinement import draw_subsets, fit_strengths, influences, surprises


def planted(number, seed):
    """Images whose labels 0 and 1 go together, label 2 alone; and a model that knows neither."""
    rng = np.random.default_rng(seed)
    first = rng.random(number) < 0.4
    second = np.where(rng.random(number) < 0.9, first, ~first)
    states = np.stack([first, second, rng.random(number) < 0.3], axis=1).astype(np.int8)
    return states, np.tile(logit([0.4, 0.42, 0.3]), (number, 1))


def fit(odds, states, influence):
    """Fit on random subsets that a model ignores."""
    drawn = draw_subsets(states, np.random.default_rng(0))
    return fit_strengths([(odds, known) for known in drawn], states, influence)


def influence_of(states, shrinkage=1.0):
    present = states.astype(float)
    together = present.T @ present
    counts = together.diagonal().copy()
    np.fill_diagonal(together, 0)
    return influences(len(states), counts, together, shrinkage)


def test_influence_is_the_shift_of_the_log_odds():
    states, _ = planted(20000, 0)
    found = influence_of(states)
    given = states[states[:, 1] == 1, 0].mean()
    assert found[0, 1] == pytest.approx(logit(given) - logit(states[:, 0].mean()), abs=0.01)
    assert np.abs(found[2, :2]).max() < 0.1
    assert (found.diagonal() == 0).all()


def test_shrinkage_pulls_influences_towards_zero():
    states, _ = planted(60, 0)
    weak, strong = (np.abs(influence_of(states, k)).sum() for k in (100.0, 1.0))
    assert weak < strong


def test_labels_that_all_or_no_images_have_stay_finite():
    found = influences(10, np.array([10, 0, 5]), np.array([[0, 0, 5], [0, 0, 0], [5, 0, 0]]), 1.0)
    assert np.isfinite(found).all()


def test_surprise_is_what_the_model_did_not_expect():
    odds = logit(np.array([[0.9, 0.2, 0.5]]))
    present, absent = surprises(odds, np.array([[1, 0, -1]]))
    np.testing.assert_allclose(present, [[0.1, 0, 0]])
    np.testing.assert_allclose(absent, [[0, -0.2, 0]])


def test_planted_pair_is_found_and_independent_labels_are_left_alone():
    states, odds = planted(3000, 1)
    influence = influence_of(planted(3000, 2)[0])
    present, absent, loss = fit(odds, states, influence)
    assert present > 0.8 and absent > 0.8  # the model knows nothing itself
    plain = fit(odds, states, np.zeros((3, 3)))
    assert plain[:2] == (0, 0) and loss < plain[2]


def test_model_that_sees_what_connects_the_labels_needs_no_hints():
    rng = np.random.default_rng(6)
    common = rng.normal(0, 2, (6000, 1))  # both labels follow it, each with a coin of its own
    odds = common + np.array([[0.0, -0.5, 0.3]])
    states = (rng.random(odds.shape) < expit(odds)).astype(np.int8)
    influence = influence_of(states)
    assert influence[0, 1] > 0.5
    present, absent, _ = fit(odds, states, influence)
    assert max(present, absent) < 0.1


def test_strengths_maximise_the_likelihood():
    states, odds = planted(2000, 4)
    influence = influence_of(states)

    def loss(factors):
        total, cells = 0.0, 0
        for known in draw_subsets(states, np.random.default_rng(0)):
            z = odds + sum(
                f * s @ influence.T for f, s in zip(factors, surprises(odds, known), strict=True)
            )
            hidden = known < 0
            p, y = expit(z)[hidden], states[hidden]
            total -= np.log(np.where(y == 1, p, 1 - p)).sum()
            cells += hidden.sum()
        return total / cells

    *found, least = fit(odds, states, influence)
    assert least == pytest.approx(loss(found), rel=1e-9)
    for step in ((0.02, 0), (-0.02, 0), (0, 0.02), (0, -0.02)):
        assert loss(np.add(found, step)) > least


def test_unknown_states_count_nowhere():
    states, odds = planted(500, 5)
    assert np.isnan(fit(odds, np.full_like(states, -1), influence_of(states))[2])


def test_subsets_have_up_to_three_quarters_of_the_labels_and_true_states():
    states = np.random.default_rng(0).integers(-1, 2, (2000, 8)).astype(np.int8)
    drawn = draw_subsets(np.abs(states), np.random.default_rng(0))
    numbers = np.concatenate([(known >= 0).sum(axis=1) for known in drawn])
    assert len(drawn) == 4 and set(numbers) == set(range(7))
    known = draw_subsets(states, np.random.default_rng(0))[0]
    assert (known[known >= 0] == states[known >= 0]).all()

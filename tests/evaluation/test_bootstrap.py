"""Bootstrap figures equal the metrics of the images that were drawn."""

import numpy as np
import pytest

from mlic.evaluation.average_precision import mean_average_precision
from mlic.evaluation.bootstrap import interval, resample_decisions, resample_map, resamples
from mlic.evaluation.decisions import decision_metrics

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(60, 4)).round(1)  # with ties
STATES = (RNG.random(SCORES.shape) < 0.3).astype(np.int8)
STATES[RNG.random(SCORES.shape) < 0.1] = -1
STATES[:, 3] = 0
STATES[5, 3] = 1  # a label that many resamples lack
COUNTS = resamples(60, 4, seed=3)[:70]


def drawn(counts):
    return np.repeat(np.arange(60), counts.astype(int))


def test_every_resample_has_as_many_images_as_there_are():
    assert (COUNTS.sum(axis=1) == 60).all()
    assert resamples(60, 4, seed=3).shape == (1000, 60)
    assert len(resamples(10_000, 5_000, seed=0)) == 200


def test_precision_is_that_of_the_images_drawn():
    found = resample_map(SCORES, STATES, COUNTS)
    expected = [mean_average_precision(SCORES[rows], STATES[rows]) for rows in map(drawn, COUNTS)]
    np.testing.assert_allclose(found, expected)


def test_scores_of_decisions_are_those_of_the_images_drawn():
    predicted = SCORES > 0.3
    found = resample_decisions(predicted, STATES, COUNTS)
    for number, rows in enumerate(map(drawn, COUNTS)):
        expected = decision_metrics(predicted[rows], STATES[rows])
        for name, values in found.items():
            assert values[number] == pytest.approx(expected[name]), name


def test_interval_of_a_paired_difference_is_narrower_than_that_of_each():
    other = SCORES + RNG.normal(size=SCORES.shape, scale=0.1)
    counts = resamples(60, 4, seed=1)
    ours, theirs = (resample_map(s, STATES, counts) for s in (SCORES, other))
    low, high = interval(ours - theirs)
    assert low < high
    assert high - low < interval(ours)[1] - interval(ours)[0]


def test_interval_covers_the_true_value_as_often_as_promised():
    rng, covered = np.random.default_rng(1), 0
    for seed in range(100):
        right = rng.random((300, 1)) < 0.6
        counts = resamples(300, 1, seed)[:200]
        found = resample_decisions(right, np.ones((300, 1), np.int8), counts)["exact_match"]
        low, high = interval(found)
        covered += low <= 0.6 <= high
    assert 88 <= covered <= 100


def test_figure_that_no_resample_defines_has_no_interval():
    values = resample_map(SCORES, np.zeros_like(STATES), COUNTS)
    assert np.isnan(values).all() and np.isnan(interval(values)).all()

"""Groups of concepts that are known, and the accuracy of classes that never are."""

import numpy as np
import pytest

from mlic.evaluation.extra_labels import concept_groups, known_groups, top1_accuracy
from mlic.labels import LabelSpace

SPACE = LabelSpace(("a::1", "a::2", "b::1", "c::1", "c::2", "c::3", "001.Auk", "002.Crow"))
IDS = [f"{number}.jpg" for number in range(600)]


@pytest.fixture
def states():
    return np.random.default_rng(0).integers(-1, 2, (600, 8)).astype(np.int8)


def test_whole_groups_are_known_and_classes_never(states):
    known = known_groups(np.abs(states), IDS, SPACE, 2, seed=0)
    shown = known >= 0
    whole = [shown[:, columns] for columns in concept_groups(SPACE).values()]
    assert all((part.all(axis=1) | ~part.any(axis=1)).all() for part in whole)
    assert (sum(part.any(axis=1) for part in whole) == 2).all()
    assert not shown[:, 6:].any()


def test_more_groups_contain_the_fewer_and_unknown_states_stay_unknown(states):
    fewer, more = (known_groups(states, IDS, SPACE, number, seed=0) for number in (1, 2))
    assert (more[fewer >= 0] == fewer[fewer >= 0]).all()
    every = known_groups(states, IDS, SPACE, 3, seed=0)
    np.testing.assert_array_equal(every[:, :6], states[:, :6])
    assert (known_groups(states, IDS, SPACE, 0, seed=0) == -1).all()


def test_choice_depends_on_image_and_seed_alone(states):
    all_rows = known_groups(states, IDS, SPACE, 1, seed=3)
    np.testing.assert_array_equal(known_groups(states[5:6], IDS[5:6], SPACE, 1, 3)[0], all_rows[5])
    first = (all_rows[:, 2] >= 0)[states[:, 2] >= 0].mean()
    assert abs(first - 1 / 3) < 0.08  # every group is chosen equally often


def test_accuracy_counts_the_best_of_the_classes_only():
    logits = np.array([[9.0, 9, 9, 9, 9, 9, 1, 0], [9, 9, 9, 9, 9, 9, 1, 0]])
    states = np.zeros((2, 8), np.int8)
    states[0, 6] = states[1, 7] = 1
    assert top1_accuracy(logits, states, [6, 7]) == 0.5

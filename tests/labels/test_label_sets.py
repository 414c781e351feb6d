"""Partitions, their quality and the suggested K on unusual label sets."""

import warnings

import numpy as np
import pytest

from mlic.labels import LabelSpace
from mlic.labels.partition import cuts
from mlic.labels.partition.partitioning import partition_labels
from mlic.labels.partition.quality import partition_quality
from mlic.labels.partition.survey import suggest_parts
from mlic.labels.statistics import count_labels

EXPONENTS = {"cgp": 1 / 2, "dgp": 1 / 3}


def random_states(size, images=300, groups=4, seed=0):
    rng = np.random.default_rng(seed)
    at_home = np.arange(size) % groups == rng.integers(groups, size=images)[:, None]
    return (rng.random((images, size)) < np.where(at_home, 0.4, 0.03)).astype(np.int8)


def isolated():
    states = random_states(12)
    states[:, 3] = 0
    states[0] = np.arange(12) == 3
    return states


def never_present():
    states = random_states(12)
    states[:, [0, 5, 11]] = 0
    return states


def duplicates():
    return np.tile(random_states(6), 2)


def disconnected():
    states = np.zeros((200, 12), dtype=np.int8)
    states[:100, :7], states[100:, 7:] = random_states(7)[:100], random_states(5)[:100]
    return states


def unknown():
    states = random_states(12)
    states[np.random.default_rng(1).random(states.shape) < 0.3] = -1
    states[:, 2] = -1
    return states


SETS = {
    "isolated": (isolated, 3, 2),
    "never present": (never_present, 4, 3),
    "duplicates": (duplicates, 3, 2),
    "disconnected": (disconnected, 5, 2),
    "unknown": (unknown, 3, 2),
    "nothing at all": (lambda: np.zeros((9, 6), dtype=np.int8), 3, 2),
    "everything": (lambda: np.ones((9, 6), dtype=np.int8), 3, 2),
    "no image": (lambda: np.zeros((0, 6), dtype=np.int8), 2, 2),
    "smallest": (lambda: random_states(4, groups=2), 2, 2),
    "two labels": (lambda: random_states(2, groups=2), 2, 1),
    "one label": (lambda: random_states(1, groups=1), 1, 1),
    "large": (lambda: random_states(500, images=2000, groups=20), 20, 2),
}


@pytest.mark.parametrize("strategy", EXPONENTS)
@pytest.mark.parametrize("name", SETS)
def test_partition_and_quality(name, strategy):
    make, num_parts, min_size = SETS[name]
    states = make()
    statistics = count_labels(states, LabelSpace(tuple(f"l{i}" for i in range(states.shape[1]))))
    wanted = statistics, strategy, num_parts, EXPONENTS[strategy]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        partition = partition_labels(*wanted, seed=5, min_size=min_size)
        figures = partition_quality(partition, statistics)
    sizes = [len(part) for part in partition.parts]
    assert len(sizes) == num_parts and min(sizes) >= min_size
    assert strategy == "cgp" or max(sizes) - min(sizes) <= 1
    assert np.isfinite(list(figures.values())).all()
    if len(statistics.space) < 100:
        assert partition == partition_labels(*wanted, seed=5, min_size=min_size)


UNUSUAL = ["isolated", "never present", "duplicates", "disconnected", "unknown", "nothing at all"]


@pytest.mark.parametrize("strategy", EXPONENTS)
@pytest.mark.parametrize("name", UNUSUAL)
def test_sparse_cuts_of_unusual_sets(monkeypatch, name, strategy):
    for bound in ("DENSE_LABELS", "EXACT_LABELS"):
        monkeypatch.setattr(cuts, bound, 0)
    test_partition_and_quality(name, strategy)


@pytest.mark.parametrize("name", [name for name in SETS if name != "large"])
def test_suggested_number_of_parts(name):
    states = SETS[name][0]()
    statistics = count_labels(states, LabelSpace(tuple(f"l{i}" for i in range(states.shape[1]))))
    suggestion = suggest_parts(statistics, num_seeds=3)
    assert suggestion.num_parts is None or 1 <= suggestion.num_parts <= states.shape[1] // 2
    assert 0 < suggestion.share <= 1 and np.isfinite(suggestion.modularity)


def test_duplicate_labels_are_joined_by_cgp_and_separated_by_dgp():
    statistics = count_labels(duplicates(), LabelSpace(tuple("abcdefABCDEF")))
    joined = partition_labels(statistics, "cgp", 3, 0.5)
    separated = partition_labels(statistics, "dgp", 3, 1 / 3)
    for label in range(6):
        assert joined.membership[label] == joined.membership[label + 6]
        assert separated.membership[label] != separated.membership[label + 6]

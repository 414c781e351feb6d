import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from mlic.errors import LabelError, ParameterError
from mlic.labels.split import _targets, stratified_split

THREE = {"train": 0.8, "validation": 0.1, "test": 0.1}


def random_states(num_images=3000, num_labels=20, seed=0):
    rng = np.random.default_rng(seed)
    rates = np.geomspace(0.004, 0.5, num_labels)
    return (rng.random((num_images, num_labels)) < rates).astype(np.int8)


def test_every_split_has_its_share():
    states = random_states()
    split = stratified_split(states, THREE, seed=0)
    for name, share in THREE.items():
        assert np.mean(split == name) == pytest.approx(share, abs=0.01)
        counts, target = states[split == name].sum(axis=0), states.sum(axis=0) * share
        assert np.all(np.abs(counts - target) <= 2 + 0.03 * target) and counts.min() >= 1


def test_labels_are_closer_to_their_share_than_in_random_splits():
    states = random_states()
    target = states.sum(axis=0) * 0.1

    def miss(split):
        return np.abs(states[split == "test"].sum(axis=0) - target).sum()

    rng = np.random.default_rng(0)
    by_chance = [miss(rng.choice(list(THREE), 3000, p=list(THREE.values()))) for _ in range(20)]
    assert miss(stratified_split(states, THREE, seed=0)) < min(by_chance) / 2


def test_splits_depend_on_the_seed_only():
    states = random_states(500)
    one, two, other = (stratified_split(states, THREE, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, two) and not np.array_equal(one, other)


def test_unknown_states_count_as_absent_and_sparse_equals_dense():
    states = random_states(400, seed=3)
    blurred = np.where((states == 0) & (np.arange(400) % 3 == 0)[:, None], -1, states)
    split = stratified_split(states, THREE, seed=0)
    assert np.array_equal(stratified_split(blurred, THREE, seed=0), split)
    assert np.array_equal(stratified_split(sparse.csr_matrix(blurred), THREE, seed=0), split)


@given(st.integers(0, 10**6), st.integers(3, 60))
@settings(max_examples=30)
def test_groups_stay_together(seed, num_groups):
    rng = np.random.default_rng(seed)
    states = random_states(200, 6, seed)
    groups = rng.permutation(np.arange(200) % num_groups).astype(str)
    split = stratified_split(states, THREE, seed, groups)
    assert all(len(set(split[groups == group])) == 1 for group in set(groups))


def test_grouped_shares_are_close():
    states = random_states()
    groups = np.random.default_rng(1).integers(600, size=3000)
    split = stratified_split(states, THREE, seed=0, groups=groups)
    for name, share in THREE.items():
        assert np.mean(split == name) == pytest.approx(share, abs=0.02)


def test_a_rare_label_reaches_every_split():
    states = np.zeros((1000, 2), dtype=np.int8)
    states[:3, 0] = states[3:, 1] = 1
    split = stratified_split(states, THREE, seed=0)
    assert set(split[:3]) == set(THREE)


@given(
    st.lists(st.floats(0.01, 1), min_size=1, max_size=5).map(lambda v: np.array(v) / sum(v)),
    st.integers(0, 200),
)
def test_targets_of_the_splits_add_up(shares, total):
    targets = _targets(total, total, shares)
    assert sum(targets) == pytest.approx(total)
    assert min(targets) >= (1 - 1e-9 if total >= len(shares) else 0)


def test_images_without_labels_are_split_by_fractions():
    split = stratified_split(np.zeros((100, 3), dtype=np.int8), THREE, seed=0)
    assert [int(np.sum(split == name)) for name in THREE] == [80, 10, 10]


@pytest.mark.parametrize("fractions", [{}, {"train": 0.8}, {"train": 1.2, "test": -0.2}])
def test_fractions_that_do_not_add_up_to_one_are_refused(fractions):
    with pytest.raises(ParameterError) as error:
        stratified_split(np.eye(4), fractions, seed=0)
    assert error.value.fields == {"parameter": "fractions", "value": fractions}


@pytest.mark.parametrize(("groups", "expected"), [(["a", "b"], 4), (["a"] * 4, 3)])
def test_too_few_groups_are_refused(groups, expected):
    with pytest.raises(LabelError) as error:
        stratified_split(np.eye(4), THREE, 0, np.array(groups))
    assert error.value.fields == {"found": len(set(groups)), "expected": expected}

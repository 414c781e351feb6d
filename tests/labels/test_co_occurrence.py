import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from mlic.errors import LabelError
from mlic.labels import co_occurrence
from mlic.labels.co_occurrence import count_states, states_equal
from mlic.labels.matrix import PRESENT, UNKNOWN

PAIRS_OF_STATES = {
    "together": (PRESENT, PRESENT),
    "hidden": (UNKNOWN, PRESENT),
    "both_unknown": (UNKNOWN, UNKNOWN),
}


def random_states(num_images, num_labels, share, seed=0):
    rng = np.random.default_rng(seed)
    states = rng.choice([-1, 1], size=(num_images, num_labels)).astype(np.int8)
    return states * (rng.random((num_images, num_labels)) < share)


@pytest.mark.parametrize("share", [0.02, 0.7])  # sparse products, and dense ones
@pytest.mark.parametrize("as_form", [np.asarray, sparse.csr_matrix, sparse.coo_array])
def test_counts_of_blocks_and_bands_equal_one_dense_product(monkeypatch, as_form, share):
    monkeypatch.setattr(co_occurrence, "BLOCK_PAIRS", 300)
    monkeypatch.setattr(co_occurrence, "BAND_LABELS", 16)
    states = random_states(400, 83, share)
    assert_exact(count_states([as_form(states)], 83), states)


def assert_exact(counts, states):
    """Compare all counts with one product of dense integers."""
    assert counts.num_images == len(states)
    assert np.array_equal(counts.present, (states == 1).sum(axis=0))
    assert np.array_equal(counts.unknown, (states == -1).sum(axis=0))
    for name, (first, second) in PAIRS_OF_STATES.items():
        expected = (states == first).T.astype(int) @ (states == second)
        np.fill_diagonal(expected, 0)
        found = getattr(counts, name)
        assert found.has_canonical_format and found.data.all() and found.dtype == np.int32
        assert np.array_equal(found.toarray(), expected)


@given(
    st.lists(st.integers(0, 60), max_size=8),
    st.sampled_from([0.02, 0.7]),
    st.sampled_from([1, 40, 10**6]),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_counts_do_not_depend_on_the_division_into_blocks(cuts, share, pairs, late):
    states = random_states(60, 19, share)
    if late:  # the first unknown state comes after images that were counted
        states[:40] = np.abs(states[:40])
    blocks = np.split(states, sorted(cuts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(co_occurrence, "BLOCK_PAIRS", pairs)
        assert_exact(count_states(iter(blocks), 19), states)


def test_no_image_at_all_counts_nothing():
    assert_exact(count_states([], 3), np.zeros((0, 3), np.int8))


@pytest.mark.parametrize("share", [0.02, 0.7])
def test_counts_above_the_range_of_int8_are_exact(share):
    states = np.tile(random_states(10, 20, share), (100, 1))
    assert_exact(count_states([states], 20), states)


def test_small_blocks_are_joined_and_large_ones_divided(monkeypatch):
    monkeypatch.setattr(co_occurrence, "BLOCK_PAIRS", 100)
    ones = np.ones((50, 2), np.int8)  # 4 pairs of states in each image
    for blocks in ([ones], np.split(ones, 50), [ones[:30], ones[30:]]):
        lengths = [piece.shape[0] for piece in co_occurrence._pieces(blocks)]
        assert sum(lengths) == 50 and max(lengths) <= 37 and min(lengths[:-1]) >= 12


def test_only_a_few_blocks_are_read_ahead(monkeypatch):
    monkeypatch.setattr(co_occurrence, "BLOCK_PAIRS", 1)
    monkeypatch.setattr(co_occurrence, "MAX_THREADS", 2)
    given, added = [], []
    monkeypatch.setattr(co_occurrence._Sums, "add", lambda self, rows: added.append(rows))

    def blocks():
        for number in range(50):
            assert number - len(added) <= 4
            given.append(number)
            yield np.ones((1, 2), np.int8)

    count_states(blocks(), 2)
    assert len(given) == len(added) == 50


@pytest.mark.parametrize("pairs", [1, 7, 10**6])
def test_blocks_cover_all_images_once(monkeypatch, pairs):
    monkeypatch.setattr(co_occurrence, "BLOCK_PAIRS", pairs)
    states = random_states(50, 9, 0.3)
    for rows in (states, sparse.csr_array(states)):
        blocks = co_occurrence._blocks(rows)
        assert [i for block in blocks for i in range(50)[block]] == list(range(50))
        assert len(blocks) == 1 if pairs > 1000 else len(blocks) > 10


def test_duplicate_and_explicit_zero_entries_do_not_change_counts():
    rows, columns, values = [0, 0, 0, 1], [1, 1, 0, 0], np.array([1, 0, 1, 0], dtype=np.int8)
    states = sparse.csr_array((values, (rows, columns)), shape=(2, 2))
    assert count_states([states], 2).together.toarray().tolist() == [[0, 1], [1, 0]]


def count(states):
    return count_states([states], 2)


def mark_present(states):
    return states_equal(states, PRESENT)


@pytest.mark.parametrize("function", [count, mark_present])
def test_a_state_outside_the_three_is_refused(function):
    with pytest.raises(LabelError) as error:
        function(np.array([[2, 0]]))
    assert error.value.fields == {"found": 2}

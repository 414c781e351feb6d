import numpy as np
import pytest
from scipy import sparse

from mlic.errors import LabelError
from mlic.labels import co_occurrence
from mlic.labels.co_occurrence import count_pairs, count_states, states_equal
from mlic.labels.matrix import PRESENT, UNKNOWN

PAIRS_OF_STATES = [(PRESENT, PRESENT), (UNKNOWN, PRESENT), (UNKNOWN, UNKNOWN)]


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
    for first, second in PAIRS_OF_STATES:
        expected = (states == first).T.astype(int) @ (states == second)
        np.fill_diagonal(expected, 0)
        found = count_pairs(as_form(states), first, second)
        assert found.has_canonical_format and found.data.all() and found.dtype == np.int32
        assert np.array_equal(found.toarray(), expected)
    present, unknown = count_states(as_form(states))
    assert np.array_equal(present, (states == 1).sum(axis=0))
    assert np.array_equal(unknown, (states == -1).sum(axis=0))


@pytest.mark.parametrize("share", [0.02, 0.7])
def test_counts_above_the_range_of_int8_are_exact(share):
    states = np.tile(random_states(10, 20, share), (100, 1))
    expected = (states == 1).T.astype(int) @ (states == 1)
    np.fill_diagonal(expected, 0)
    assert np.array_equal(count_pairs(states, PRESENT, PRESENT).toarray(), expected)


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
    assert count_pairs(states, PRESENT, PRESENT).toarray().tolist() == [[0, 1], [1, 0]]


def count_present_pairs(states):
    return count_pairs(states, PRESENT, PRESENT)


def mark_present(states):
    return states_equal(states, PRESENT)


@pytest.mark.parametrize("function", [count_states, count_present_pairs, mark_present])
def test_a_state_outside_the_three_is_refused(function):
    with pytest.raises(LabelError) as error:
        function(np.array([[2, 0]]))
    assert error.value.fields == {"found": 2}

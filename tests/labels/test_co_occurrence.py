import numpy as np
import pytest
from scipy import sparse

from mlic.errors import LabelError
from mlic.labels import co_occurrence as pair_counts
from mlic.labels.co_occurrence import count_pairs, count_states, states_equal
from mlic.labels.matrix import PRESENT, UNKNOWN

KINDS = [(PRESENT, PRESENT), (UNKNOWN, PRESENT), (UNKNOWN, UNKNOWN)]


def drawn(images, labels, share, seed=0):
    rng = np.random.default_rng(seed)
    states = rng.choice([-1, 1], size=(images, labels)).astype(np.int8)
    return states * (rng.random((images, labels)) < share)


@pytest.mark.parametrize("share", [0.02, 0.7])  # enumerated, and multiplied
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.coo_array])
def test_portions_and_bands_add_up_to_the_product(monkeypatch, kind, share):
    monkeypatch.setattr(pair_counts, "PAIRS", 300)
    monkeypatch.setattr(pair_counts, "BAND", 16)
    states = drawn(400, 83, share)
    for first, second in KINDS:
        expected = (states == first).T.astype(int) @ (states == second)
        np.fill_diagonal(expected, 0)
        found = count_pairs(kind(states), first, second)
        assert found.has_canonical_format and found.data.all() and found.dtype == np.int32
        assert np.array_equal(found.toarray(), expected)
    present, unknown = count_states(kind(states))
    assert np.array_equal(present, (states == 1).sum(axis=0))
    assert np.array_equal(unknown, (states == -1).sum(axis=0))


@pytest.mark.parametrize("pairs", [1, 7, 10**6])
def test_portions_cover_all_images_once(monkeypatch, pairs):
    monkeypatch.setattr(pair_counts, "PAIRS", pairs)
    states = drawn(50, 9, 0.3)
    for rows in (states, sparse.csr_array(states)):
        portions = pair_counts._portions(rows)
        assert [i for portion in portions for i in range(50)[portion]] == list(range(50))
        assert len(portions) == 1 if pairs > 100 else len(portions) > 10


def test_doubled_and_zero_entries_are_as_good_as_none():
    rows, columns, values = [0, 0, 0, 1], [1, 1, 0, 0], np.array([1, 0, 1, 0], dtype=np.int8)
    states = sparse.csr_array((values, (rows, columns)), shape=(2, 2))
    assert count_pairs(states, PRESENT, PRESENT).toarray().tolist() == [[0, 1], [1, 0]]


def test_a_state_that_is_none_is_refused():
    for count in (count_states, lambda states: states_equal(states, PRESENT)):
        with pytest.raises(LabelError, match="neither 1"):
            count(np.array([[2, 0]]))

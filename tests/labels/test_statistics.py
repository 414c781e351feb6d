from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from mlic.errors import DataError, LabelError
from mlic.labels import LabelSpace
from mlic.labels import statistics as module
from mlic.labels.statistics import LabelStatistics, count_blocks, count_labels

STATES = hnp.arrays(
    np.int8,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=7),
    elements=st.sampled_from([-1, 0, 1]),
)


def space_of(states):
    return LabelSpace(tuple(f"label {i}" for i in range(states.shape[1])))


@given(STATES, st.booleans())
@settings(max_examples=60)
def test_counts_equal_loops_over_images(states, as_sparse):
    counted = count_labels(sparse.csr_matrix(states) if as_sparse else states, space_of(states))
    n, size = states.shape
    for i in range(size):
        assert counted.counts[i] == sum(states[r, i] == 1 for r in range(n))
        for j in range(size):
            both = sum(states[r, i] == 1 and states[r, j] == 1 for r in range(n))
            known = sum(states[r, i] != -1 and states[r, j] != -1 for r in range(n))
            base = sum(states[r, j] == 1 and states[r, i] != -1 for r in range(n))
            assert counted.cooccurrence[i, j] == (0 if i == j else both)
            assert counted.known[i, j] == known
            assert counted.support[i, j] == base
            share = both / base if base and i != j else 0.0
            assert counted.conditional[i, j] == share


@given(STATES, st.lists(st.integers(0, 7), max_size=4))
@settings(max_examples=60)
def test_statistics_of_blocks_are_those_of_the_whole_matrix_to_the_bit(states, cuts):
    space = space_of(states)
    parts = [np.split(states, sorted(cuts)), list(map(sparse.csr_array, np.vsplit(states, 1)))]
    whole, about = count_labels(states, space).to_tensors()
    for blocks in parts:
        tensors, metadata = count_blocks(iter(blocks), space).to_tensors()
        assert metadata == about and tensors.keys() == whole.keys()
        for name, tensor in tensors.items():
            assert tensor.dtype == whole[name].dtype and np.array_equal(tensor, whole[name])


def test_pairs_are_sparse_sorted_and_without_zeros(scenes):
    for name in module.PAIRS:
        pairs = getattr(scenes, name)
        assert pairs.dtype == np.int32 and pairs.has_canonical_format and pairs.data.all()
    assert not scenes.together.diagonal().any()
    assert scenes.hidden.nnz == scenes.unknown.nnz == 0  # nothing is unknown, nothing is stored


def test_lift_is_one_for_independent_labels():
    states = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], dtype=np.int8)
    assert count_labels(states, space_of(states)).lift[0, 1] == 1.0


@given(STATES)
@settings(max_examples=60)
def test_lift_of_a_pair_uses_the_images_in_which_both_are_known(states):
    lift = count_labels(states, space_of(states)).lift
    np.testing.assert_array_equal(lift, lift.T)
    for i, j in np.argwhere(~np.eye(len(lift), dtype=bool)):
        pair = states[(states[:, i] != -1) & (states[:, j] != -1)][:, [i, j]] == 1
        expected = pair.all(axis=1).mean() / pair.mean(axis=0).prod() if pair.all(1).any() else 0
        assert lift[i, j] == pytest.approx(expected)


def test_counting_does_not_change_the_states():
    states = sparse.csr_matrix(np.array([[1, -1, 0], [-1, 1, 1]], dtype=np.int8))
    before = states.toarray()
    count_labels(states, space_of(states))
    assert np.array_equal(states.toarray(), before)


def test_bad_states_are_refused():
    with pytest.raises(LabelError) as error:
        count_labels(np.zeros((2, 2), dtype=np.int8), LabelSpace(("a", "b", "c")))
    assert error.value.fields == {"found": (2, 2), "expected": 3}
    with pytest.raises(LabelError) as error:
        count_labels(np.array([[2, 0]]), LabelSpace(("a", "b")))
    assert error.value.fields == {"found": 2}
    with pytest.raises(LabelError) as error:  # in a later block
        count_blocks([np.ones((1, 2), np.int8), np.ones((2, 3), np.int8)], LabelSpace(("a", "b")))
    assert error.value.fields == {"found": (2, 3), "expected": 2}


def test_statistics_from_tensors_equal_the_original(scenes):
    tensors, metadata = scenes.to_tensors()
    assert all(isinstance(text, str) for text in metadata.values())
    again = LabelStatistics.from_tensors(tensors, metadata)
    assert again.space == scenes.space and again.num_images == scenes.num_images
    assert_same(again, scenes)
    del tensors["hidden.data"]
    with pytest.raises(DataError) as error:
        LabelStatistics.from_tensors(tensors, metadata)
    assert error.value.fields == {"name": "hidden.data"}


@pytest.mark.parametrize("name", ["counts", "hidden"])
def test_wrong_shapes_are_refused(scenes, name):
    with pytest.raises(LabelError) as error:
        replace(scenes, **{name: getattr(scenes, name)[:2]})
    assert error.value.fields["name"] == name


def test_equals_the_published_coco_counts(coco, shared):
    assert coco.num_images == 82081
    assert_published(coco, shared / "embeddings/coco_glove_adj.npz")


@pytest.mark.parametrize("as_sparse", [False, True])
def test_equals_the_published_voc_counts(shared, as_sparse):
    with np.load(shared / "labels/voc2007_trainval.npz") as file:
        # VOC's 0 is "difficult", our unknown: no count may take it for present
        states = np.select([file["labels"] == 1, file["labels"] == 0], [1, -1], 0).astype(np.int8)
        space = LabelSpace(tuple(file["classes"].tolist()))
    voc = count_labels(sparse.csr_array(states) if as_sparse else states, space)
    assert_published(voc, shared / "embeddings/voc_glove_adj.npz")
    assert np.array_equal(np.diag(voc.known), (states != -1).sum(axis=0))


def assert_same(one, other):
    assert np.array_equal(one.counts, other.counts)
    for name in module.PAIRS:
        assert np.array_equal(getattr(one, name).toarray(), getattr(other, name).toarray())


def assert_published(statistics, path):
    """Cell for cell, once the published order of classes is brought to ours."""
    with np.load(path) as file:
        order = [file["classes"].tolist().index(name) for name in statistics.space.names]
        assert np.array_equal(statistics.counts, file["counts"][order])
        assert np.array_equal(statistics.cooccurrence, file["cooccurrence"][np.ix_(order, order)])

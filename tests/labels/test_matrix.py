import numpy as np
import pytest

from mlic.errors import LabelError
from mlic.labels import LabelMatrix, LabelSpace
from mlic.labels import matrix as module

SPACE = LabelSpace(("cat", "dog", "cow"))


def matrix(**changes):
    arguments = {
        "space": SPACE,
        "ids": ["a", "b", "c"],
        "states": [[1, 0, -1], [0, 1, 0], [1, 1, 1]],
        "split": ["train", "test", "train"],
    }
    return LabelMatrix(**(arguments | changes))


def test_arrays_are_converted_to_fixed_dtypes():
    made = matrix()
    assert made.states.dtype == np.int8 and made.ids.dtype.kind == made.split.dtype.kind == "U"
    assert len(made) == 3


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"states": [[1, 0]] * 3}, {"found": (3, 2), "expected": (3, 3)}),
        ({"ids": ["a", "b"]}, {"found": (3, 3), "expected": (2, 3)}),
        ({"split": ["train"]}, {"found": (3, 3), "expected": (3, 3)}),
        ({"ids": ["a", "b", "a"]}, {"name": "a"}),
        ({"states": [[2, 0, 0]] * 3}, {"found": 2}),
        ({"split": ["train", "val", "test"]}, {"name": "val"}),
    ],
)
def test_inconsistent_matrices_are_refused(changes, fields):
    with pytest.raises(LabelError) as error:
        matrix(**changes)
    assert error.value.fields == fields


def test_rows_columns_and_splits():
    made = matrix()
    assert made.in_split("train").ids.tolist() == ["a", "c"]
    assert made.take([2, 0]).states.tolist() == [[1, 1, 1], [1, 0, -1]]
    part = made.with_labels([2, 0])
    assert part.space.names == ("cow", "cat") and part.states[0].tolist() == [-1, 1]
    assert made.with_split(np.array(["", "", "test"])).in_split("test").ids.tolist() == ["c"]


def test_fingerprint_depends_on_ids_states_splits_and_labels():
    base = matrix().fingerprint
    assert matrix().fingerprint == base
    changes = [
        {"ids": ["a", "b", "d"]},
        {"states": [[1, 0, 0], [0, 1, 0], [1, 1, 1]]},
        {"split": ["train", "test", ""]},
        {"space": LabelSpace(("cat", "dog", "calf"))},
    ]
    assert len({base, *(matrix(**change).fingerprint for change in changes)}) == 5


@pytest.mark.parametrize("size", [1, 3, 7, 10**6])
def test_blocks_give_all_images_in_their_order(monkeypatch, size):
    monkeypatch.setattr(module, "BLOCK_STATES", size)
    made = matrix()
    blocks = list(made.blocks())
    assert len(blocks) == {1: 3, 3: 3, 7: 2}.get(size, 1)
    assert np.concatenate([states for states, _ in blocks]).tolist() == made.states.tolist()
    assert np.concatenate([split for _, split in blocks]).tolist() == made.split.tolist()

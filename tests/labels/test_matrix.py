import numpy as np
import pytest

from mlic.errors import LabelError
from mlic.labels import LabelMatrix, LabelSpace

SPACE = LabelSpace(("cat", "dog", "cow"))


def matrix(**changes):
    arguments = {
        "space": SPACE,
        "ids": ["a", "b", "c"],
        "states": [[1, 0, -1], [0, 1, 0], [1, 1, 1]],
        "split": ["train", "test", "train"],
    }
    return LabelMatrix(**(arguments | changes))


def test_dtypes_are_settled():
    made = matrix()
    assert made.states.dtype == np.int8 and made.ids.dtype.kind == made.split.dtype.kind == "U"
    assert len(made) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"states": [[1, 0]] * 3}, "do not fit"),
        ({"ids": ["a", "b"]}, "do not fit"),
        ({"split": ["train"]}, "do not fit"),
        ({"ids": ["a", "b", "a"]}, "'a' stands 2 times"),
        ({"states": [[2, 0, 0]] * 3}, "neither 1"),
        ({"split": ["train", "val", "test"]}, "split 'val'"),
    ],
)
def test_contradictions_are_refused(changes, message):
    with pytest.raises(LabelError, match=message):
        matrix(**changes)


def test_rows_columns_and_splits():
    made = matrix()
    assert made.in_split("train").ids.tolist() == ["a", "c"]
    assert made.take([2, 0]).states.tolist() == [[1, 1, 1], [1, 0, -1]]
    part = made.with_labels([2, 0])
    assert part.space.names == ("cow", "cat") and part.states[0].tolist() == [-1, 1]
    assert made.with_split(np.array(["", "", "test"])).in_split("test").ids.tolist() == ["c"]


def test_fingerprint_sees_every_part():
    base = matrix().fingerprint
    assert matrix().fingerprint == base
    changes = [
        {"ids": ["a", "b", "d"]},
        {"states": [[1, 0, 0], [0, 1, 0], [1, 1, 1]]},
        {"split": ["train", "test", ""]},
        {"space": LabelSpace(("cat", "dog", "calf"))},
    ]
    assert len({base, *(matrix(**change).fingerprint for change in changes)}) == 5

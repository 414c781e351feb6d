import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlic.errors import LabelError, PartitionError
from mlic.labels import LabelSpace
from mlic.labels.partition import Partition, user_partition

SPACE = LabelSpace(("person", "tie", "dog", "cow"))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=15), st.randoms(use_true_random=False))
def test_parts_have_one_canonical_order(membership, random):
    space = LabelSpace(tuple(f"label {i}" for i in range(len(membership))))
    parts = [[i for i, m in enumerate(membership) if m == part] for part in set(membership)]
    one = Partition(space, "cgp", tuple(map(tuple, parts)))
    random.shuffle(parts)
    for part in parts:
        random.shuffle(part)
    other = Partition(space, "cgp", tuple(map(tuple, parts)))
    assert one == other and one.fingerprint == other.fingerprint
    sizes = [len(part) for part in one.parts]
    assert sizes == sorted(sizes, reverse=True)
    assert all(one.membership[i] == k for k, part in enumerate(one.parts) for i in part)


@pytest.mark.parametrize(
    ("parts", "fields"),
    [
        (((0, 1), (1, 2, 3)), {"label": "tie", "found": 2, "expected": 1}),
        (((0, 1), (3,)), {"label": "dog", "found": 0, "expected": 1}),
        (((0, 1, 2, 3), ()), {"name": 1}),
        (((0, 1, 2, 3, 4),), {"found": 4, "expected": 4}),
        (((0, 0, 1, 2, 3),), {"label": "person", "found": 2, "expected": 1}),
        ((), {"label": "person", "found": 0, "expected": 1}),
    ],
)
def test_parts_that_are_no_disjoint_complete_cover_are_refused(parts, fields):
    with pytest.raises(PartitionError) as error:
        Partition(SPACE, "cgp", parts)
    assert error.value.fields == fields


def test_an_unknown_strategy_is_refused():
    with pytest.raises(PartitionError) as error:
        Partition(SPACE, "best", ((0, 1, 2, 3),))
    assert error.value.fields == {"parameter": "strategy", "value": "best"}


def test_fingerprint_depends_on_labels_strategy_and_parts_only():
    base = Partition(SPACE, "cgp", ((0, 1), (2, 3)))
    assert (
        Partition(SPACE, "cgp", base.parts, 0.5, 3, {"ncut": 1.0}).fingerprint == base.fingerprint
    )
    others = [
        Partition(SPACE, "dgp", base.parts),
        Partition(SPACE, "cgp", ((0, 2), (1, 3))),
        Partition(LabelSpace(("person", "tie", "cow", "dog")), "cgp", base.parts),
    ]
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 4


def test_partition_read_from_its_document_equals_the_original():
    partition = Partition(SPACE, "dgp", ((3, 0), (2, 1)), 1 / 3, 7, {"ncut": 1.25})
    document = json.loads(json.dumps(partition.to_dict()))
    assert document["parts"] == [["person", "cow"], ["tie", "dog"]]
    assert Partition.from_dict(document) == partition


CHANGES = [
    ({"parts": [["person", "tie"], ["dog"]]}, PartitionError, ("label", "cow")),
    ({"parts": [["person", "tie"], ["dog", "cat"]]}, LabelError, ("label", "cat")),
    ({"parts": ["person", "tie"]}, PartitionError, ("name", "parts.0")),
    ({"parts": [["person", "tie", "dog"], None]}, PartitionError, ("name", "parts.1")),
    ({"parts": [["person", ["tie"]], ["dog", "cow"]]}, PartitionError, ("name", "parts.0.1")),
    ({"labels": 5}, PartitionError, ("name", "labels")),
    ({"quality": []}, PartitionError, ("name", "quality")),
    ({"schema": 99}, PartitionError, ("found", 99)),
]


@pytest.mark.parametrize(("change", "kind", "field"), CHANGES)
def test_edited_documents_are_checked(change, kind, field):
    document = Partition(SPACE, "cgp", ((0, 1), (2, 3))).to_dict()
    with pytest.raises(kind) as error:
        Partition.from_dict(document | change)
    assert field in error.value.fields.items()


def test_a_document_without_parts_is_refused():
    document = Partition(SPACE, "cgp", ((0, 1), (2, 3))).to_dict()
    del document["parts"]
    with pytest.raises(PartitionError) as error:
        Partition.from_dict(document)
    assert error.value.fields == {"name": "parts"}


def test_user_partition_must_have_a_part_for_each_teacher():
    partition = user_partition([["cow"], ["dog", "person", "tie"]], SPACE)
    assert partition.strategy == "user" and partition.names(0) == ("person", "tie", "dog")
    assert np.array_equal(partition.membership, [0, 0, 0, 1])
    partition.require_parts(2)
    with pytest.raises(PartitionError) as error:
        partition.require_parts(3)
    assert error.value.fields == {"found": 2, "expected": 3}


def test_titles_stay_with_their_parts():
    named = {"beasts": ["cow"], "others": ["dog", "person", "tie"]}
    partition = user_partition(named, SPACE)
    assert partition.titles == ("others", "beasts") and partition.names(1) == ("cow",)
    assert Partition.from_dict(json.loads(json.dumps(partition.to_dict()))) == partition
    untitled = user_partition(named.values(), SPACE)
    assert untitled.titles == () and untitled.fingerprint == partition.fingerprint
    with pytest.raises(PartitionError) as error:
        Partition(SPACE, "user", partition.parts, titles=("one",))
    assert error.value.fields == {"found": 1, "expected": 2}


@pytest.mark.parametrize("part", [3, None, "cow"])
def test_a_part_that_is_not_a_list_is_refused(part):
    with pytest.raises(PartitionError) as error:
        user_partition([["person", "tie", "dog"], part], SPACE)
    assert error.value.fields == {"found": part}

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlic.errors import LabelError, PartitionError
from mlic.labels import LabelSpace
from mlic.labels.partition.partition import Partition, user_partition

SPACE = LabelSpace(("person", "tie", "dog", "cow"))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=15), st.randoms(use_true_random=False))
def test_one_canonical_form(membership, random):
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
    ("parts", "message"),
    [
        (((0, 1), (1, 2, 3)), "'tie' is in 2 parts"),
        (((0, 1), (3,)), "'dog' is in no part"),
        (((0, 1, 2, 3), ()), "part 1 of .* is empty"),
        (((0, 1, 2, 3, 4),), "label column 4, but there are only 4"),
        (((0, 0, 1, 2, 3),), "'person' is in 2 parts"),
        ((), "'person' is in no part"),
    ],
)
def test_no_cover(parts, message):
    with pytest.raises(PartitionError, match=message):
        Partition(SPACE, "cgp", parts)


def test_unknown_strategy():
    with pytest.raises(PartitionError, match="strategy 'best'"):
        Partition(SPACE, "best", ((0, 1, 2, 3),))


def test_fingerprint_sees_labels_strategy_and_parts_only():
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


def test_document_and_back():
    partition = Partition(SPACE, "dgp", ((3, 0), (2, 1)), 1 / 3, 7, {"ncut": 1.25})
    document = json.loads(json.dumps(partition.to_dict()))
    assert document["parts"] == [["person", "cow"], ["tie", "dog"]]
    assert Partition.from_dict(document) == partition


def test_edited_documents_are_checked():
    document = Partition(SPACE, "cgp", ((0, 1), (2, 3))).to_dict()
    with pytest.raises(PartitionError, match="'cow' is in no part"):
        Partition.from_dict(document | {"parts": [["person", "tie"], ["dog"]]})
    with pytest.raises(LabelError, match="'cat' is not in"):
        Partition.from_dict(document | {"parts": [["person", "tie"], ["dog", "cat"]]})
    with pytest.raises(PartitionError, match="schema 99"):
        Partition.from_dict(document | {"schema": 99})
    with pytest.raises(PartitionError, match="single text"):
        Partition.from_dict(document | {"parts": ["person", "tie"]})
    del document["parts"]
    with pytest.raises(PartitionError, match="lacks parts"):
        Partition.from_dict(document)


def test_user_partition_and_parts_wired():
    partition = user_partition([["cow"], ["dog", "person", "tie"]], SPACE)
    assert partition.strategy == "user" and partition.names(0) == ("person", "tie", "dog")
    assert np.array_equal(partition.membership, [0, 0, 0, 1])
    partition.require_parts(2)
    with pytest.raises(PartitionError, match="'user' has 2 parts but 3 teachers are wired"):
        partition.require_parts(3)


def test_titles_go_with_their_parts_wherever_those_go():
    named = {"beasts": ["cow"], "others": ["dog", "person", "tie"]}
    partition = user_partition(named, SPACE)
    assert partition.titles == ("others", "beasts") and partition.names(1) == ("cow",)
    assert Partition.from_dict(json.loads(json.dumps(partition.to_dict()))) == partition
    untitled = user_partition(named.values(), SPACE)
    assert untitled.titles == () and untitled.fingerprint == partition.fingerprint
    with pytest.raises(PartitionError, match="has 2 parts but 1 titles"):
        Partition(SPACE, "user", partition.parts, titles=("one",))


@pytest.mark.parametrize("part", [3, None, "cow"])
def test_a_part_that_is_no_list_of_names_is_refused(part):
    with pytest.raises(PartitionError, match="write every part as a list"):
        user_partition([["person", "tie", "dog"], part], SPACE)

import pytest

from mlic.errors import LabelError
from mlic.labels import LabelSpace

SPACE = LabelSpace(("person", "tie", "dog"))


def test_index_inverts_names():
    assert [SPACE.index(name) for name in SPACE.names] == list(range(len(SPACE)))
    assert SPACE.indices(["dog", "person"]) == [2, 0]


def test_unknown_name_is_named():
    with pytest.raises(LabelError, match="'cat' is not in the class list"):
        SPACE.index("cat")


@pytest.mark.parametrize(
    ("names", "message"),
    [((), "empty"), (("a", " "), "label number 1 has no name"), (("a", "b", "a"), "'a' stands")],
)
def test_bad_class_lists(names, message):
    with pytest.raises(LabelError, match=message):
        LabelSpace(names)


def test_fingerprint_depends_on_names_and_order():
    same = LabelSpace(["person", "tie", "dog"])
    others = [("tie", "person", "dog"), ("person", "tie"), ("person", "tie", "dogs")]
    assert same.fingerprint == SPACE.fingerprint and same == SPACE
    assert all(LabelSpace(names).fingerprint != SPACE.fingerprint for names in others)


def test_subset_keeps_the_order_given():
    assert SPACE.subset([2, 0]).names == ("dog", "person")


def test_require_same_names_the_first_difference():
    SPACE.require_same(LabelSpace(SPACE.names), "a", "b")
    with pytest.raises(LabelError, match="label 1 is 'tie' in teachers but 'dog' in the student"):
        SPACE.require_same(LabelSpace(("person", "dog", "tie")), "teachers", "the student")
    with pytest.raises(LabelError, match="has 3 labels but b has 2"):
        SPACE.require_same(LabelSpace(("person", "tie")), "a", "b")

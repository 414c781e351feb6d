import pytest

from mlic.errors import LabelError
from mlic.labels import LabelSpace

SPACE = LabelSpace(("person", "tie", "dog"))


def test_index_inverts_names():
    assert [SPACE.index(name) for name in SPACE.names] == list(range(len(SPACE)))
    assert SPACE.indices(["dog", "person"]) == [2, 0]


def test_a_label_outside_the_space_is_refused_with_a_hint():
    with pytest.raises(LabelError, match="'person'") as error:
        SPACE.index("preson")
    assert error.value.fields == {"label": "preson"}


@pytest.mark.parametrize(
    ("names", "fields"),
    [((), {}), (("a", " "), {"value": 1}), (("a", "b", "a"), {"label": "a"})],
)
def test_bad_class_lists_are_refused(names, fields):
    with pytest.raises(LabelError) as error:
        LabelSpace(names)
    assert error.value.fields == fields


def test_fingerprint_depends_on_names_and_order():
    same = LabelSpace(["person", "tie", "dog"])
    others = [("tie", "person", "dog"), ("person", "tie"), ("person", "tie", "dogs")]
    assert same.fingerprint == SPACE.fingerprint and same == SPACE
    assert all(LabelSpace(names).fingerprint != SPACE.fingerprint for names in others)


def test_subset_keeps_the_given_order():
    assert SPACE.subset([2, 0]).names == ("dog", "person")


def test_require_same_names_the_first_difference():
    SPACE.require_same(LabelSpace(SPACE.names), "a", "b")
    with pytest.raises(LabelError, match="label 1 is 'tie' in teachers") as error:
        SPACE.require_same(LabelSpace(("person", "dog", "tie")), "teachers", "the student")
    assert error.value.fields == {"found": "dog", "expected": "tie"}
    with pytest.raises(LabelError) as error:
        SPACE.require_same(LabelSpace(("person", "tie")), "a", "b")
    assert error.value.fields == {"found": 2, "expected": 3}

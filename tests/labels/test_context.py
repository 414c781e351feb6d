import numpy as np
import pytest

from mlic.errors import LabelError
from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.labels.embeddings import LabelEmbeddings
from mlic.labels.graph import label_graph
from mlic.labels.partition.partitioning import partition_labels
from mlic.labels.statistics import count_labels

OTHER = LabelSpace(("a", "c", "b", *"defghijkl"))  # the labels of `scenes`, two of them swapped


@pytest.fixture
def members(scenes):
    vectors = np.random.default_rng(0).normal(size=(12, 3))
    return {
        "statistics": scenes,
        "graph": label_graph(scenes, "cgp", 0.5),
        "embeddings": LabelEmbeddings(scenes.space, vectors, "glove"),
        "partition": partition_labels(scenes, "cgp", 3, 0.5),
    }


def test_every_member_is_optional(scenes, members):
    assert LabelContext(scenes.space).num_labels == 12
    for name, member in members.items():
        assert getattr(LabelContext(scenes.space, **{name: member}), name) is member


@pytest.mark.parametrize("name", ["statistics", "graph", "partition"])
def test_members_with_other_labels_are_refused(members, name):
    with pytest.raises(LabelError, match="label 1 is 'c'"):
        LabelContext(OTHER, **{name: members[name]})


def test_embeddings_may_cover_more_labels_but_not_fewer(members):
    fewer = LabelContext(LabelSpace(("c", "a")), embeddings=members["embeddings"])
    assert fewer.embeddings.subset(fewer.space).vectors.shape == (2, 3)
    with pytest.raises(LabelError, match="'zebra'"):
        LabelContext(LabelSpace(("a", "zebra")), embeddings=members["embeddings"])


def test_subset_equals_members_computed_for_the_labels_alone(scenes, members):
    space = LabelSpace(("c", "a", "l"))
    columns = [2, 0, 11]
    part = LabelContext(scenes.space, **members).subset(space)
    assert part.space == space and part.partition is None
    assert np.array_equal(part.statistics.counts, scenes.counts[columns])
    assert np.array_equal(
        part.statistics.cooccurrence, scenes.cooccurrence[np.ix_(columns, columns)]
    )
    expected = label_graph(part.statistics, "cgp", 0.5)
    assert list(part.graph) == list(expected) and part.graph.graph == expected.graph
    assert dict(part.graph.nodes) == dict(expected.nodes)
    assert dict(part.graph.adj) == dict(expected.adj)
    assert np.array_equal(part.embeddings.vectors, members["embeddings"].vectors[columns])


def test_subset_of_statistics_keeps_unknown_states_and_sorted_rows():
    states = np.random.default_rng(0).choice([-1, 0, 1], size=(50, 6)).astype(np.int8)
    columns = [4, 0, 5]
    space = LabelSpace(tuple("abcdef"))
    part = count_labels(states, space).subset(space.subset(columns))
    expected = count_labels(states[:, columns], part.space)
    assert np.array_equal(part.conditional, expected.conditional)
    assert np.array_equal(part.known, expected.known)
    assert part.together.has_canonical_format and part.hidden.has_canonical_format


def test_subset_with_a_label_outside_the_context_is_refused(scenes):
    with pytest.raises(LabelError, match="'zebra'"):
        LabelContext(scenes.space).subset(LabelSpace(("a", "zebra")))

import json

import networkx as nx
import numpy as np
import pytest

from mlic.errors import ParameterError
from mlic.labels import LabelSpace
from mlic.labels import graph as graph_module
from mlic.labels.graph import affinity, label_affinity, label_graph
from mlic.labels.statistics import count_labels


def test_affinity_follows_the_formula(scenes):
    together, counts = scenes.cooccurrence, scenes.counts
    found = affinity(scenes, "co", 0.5)
    for i in range(12):
        for j in range(12):
            forth, back = (together[i, j] / counts[j]) ** 0.5, (together[i, j] / counts[i]) ** 0.5
            assert found[i, j] == pytest.approx((forth + back) / 2)


@pytest.mark.parametrize("exponent", [1 / 3, 0.5, 1.0])
def test_the_two_kinds_of_affinity_add_up_to_one(scenes, exponent):
    together, apart = (affinity(scenes, kind, exponent) for kind in ("co", "dis"))
    assert np.allclose(together + apart, 1 - np.eye(12))
    assert np.array_equal(together, together.T) and together.min() >= 0 and together.max() <= 1


@pytest.mark.parametrize("strategy", ["cgp", "dgp", "random"])
def test_a_graph_contains_the_affinity_before_and_after_json(scenes, strategy):
    graph = label_graph(scenes, strategy, 0.5)
    text = json.dumps(nx.node_link_data(graph, edges="edges"))
    again = nx.node_link_graph(json.loads(text), edges="edges")
    assert again.graph == graph.graph and graph.graph["neighbours"] is None
    kept = {name: nx.to_numpy_array(again, weight=name) for name in ("weight", "cooccurrence")}
    assert np.array_equal(kept["weight"], affinity(scenes, graph.graph["kind"], 0.5))
    assert np.array_equal(kept["cooccurrence"], scenes.cooccurrence)
    assert nx.get_node_attributes(again, "count") == dict(
        zip("abcdefghijkl", scenes.counts.tolist(), strict=True)
    )


def test_labels_that_always_occur_together_have_no_dis_occurrence_edge():
    states = np.array([[1, 1, 0], [1, 1, 1], [0, 0, 1]], dtype=np.int8)
    counted = count_labels(states, LabelSpace(("fork", "knife", "dog")))
    graph = label_graph(counted, "dgp", 1 / 3)
    assert not graph.has_edge("fork", "knife") and graph.has_edge("fork", "dog")


@pytest.mark.parametrize(("strategy", "kind"), [("cgp", "co"), ("dgp", "dis")])
def test_a_large_graph_keeps_the_strongest_edges_of_each_label(monkeypatch, scenes, strategy, kind):
    monkeypatch.setattr(graph_module, "FULL_GRAPH_LABELS", 11)
    monkeypatch.setattr(graph_module, "NEIGHBOURS", 3)
    graph = label_graph(scenes, strategy, 0.5)
    together, weights = affinity(scenes, "co", 0.5), affinity(scenes, kind, 0.5)
    nearest = np.argsort(-together, axis=1)[:, :3]
    edges = {frozenset((i, j)) for i, row in enumerate(nearest.tolist()) for j in row}
    names = scenes.space.names
    assert graph.graph["neighbours"] == 3 and 18 <= len(edges) <= 36
    assert {frozenset(map(names.index, edge)) for edge in graph.edges} == edges
    for first, second, values in graph.edges(data=True):
        place = names.index(first), names.index(second)
        assert values["weight"] == weights[place]
        assert values["cooccurrence"] == scenes.cooccurrence[place]


def test_labels_that_never_occur_have_no_co_occurrence_edge():
    counted = count_labels(np.array([[1, 0, 0]] * 3, dtype=np.int8), LabelSpace(("a", "b", "c")))
    assert label_graph(counted, "cgp", 0.5).number_of_edges() == 0
    assert label_graph(counted, "dgp", 0.5).number_of_edges() == 3


@pytest.mark.parametrize(
    ("build", "arguments", "parameter"),
    [
        (affinity, ("near", 0.5), "kind"),
        (affinity, ("co", 0), "exponent"),
        (label_graph, ("cpg", 0.5), "strategy"),
    ],
)
def test_bad_parameters_are_refused(scenes, build, arguments, parameter):
    with pytest.raises(ParameterError) as error:
        build(scenes, *arguments)
    assert error.value.fields["parameter"] == parameter
    assert error.value.fields["value"] in arguments


@pytest.mark.parametrize("exponent", [1 / 3, 0.5, 1.0])
def test_sparse_affinity_equals_the_formula_on_known_states(monkeypatch, exponent):
    monkeypatch.setattr(graph_module, "BLOCK_LABELS", 3)
    rng = np.random.default_rng(1)
    states = rng.choice([-1, 0, 0, 0, 1], size=(60, 8)).astype(np.int8)
    counted = count_labels(states, LabelSpace(tuple("abcdefgh")))
    powered = counted.conditional**exponent
    found = label_affinity(counted, exponent)
    assert counted.hidden.nnz and found.nnz == counted.together.nnz
    assert np.array_equal(found.toarray(), (powered + powered.T) / 2)

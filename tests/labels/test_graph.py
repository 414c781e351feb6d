import json

import networkx as nx
import numpy as np
import pytest

from mlic.errors import LabelError, ParameterError
from mlic.labels import LabelSpace
from mlic.labels import graph as graph_module
from mlic.labels.graph import affinity, graph_affinity, graph_company, label_affinity, label_graph
from mlic.labels.statistics import count_labels


def test_affinity_follows_the_formula(scenes):
    together, counts = scenes.cooccurrence, scenes.counts
    found = affinity(scenes, "co", 0.5)
    for i in range(12):
        for j in range(12):
            forth, back = (together[i, j] / counts[j]) ** 0.5, (together[i, j] / counts[i]) ** 0.5
            assert found[i, j] == pytest.approx((forth + back) / 2)


@pytest.mark.parametrize("exponent", [1 / 3, 0.5, 1.0])
def test_kinds_complement_each_other(scenes, exponent):
    company, distance = (affinity(scenes, kind, exponent) for kind in ("co", "dis"))
    assert np.allclose(company + distance, 1 - np.eye(12))
    assert np.array_equal(company, company.T) and company.min() >= 0 and company.max() <= 1


@pytest.mark.parametrize("strategy", ["cgp", "dgp", "random"])
def test_graph_survives_json(scenes, strategy):
    graph = label_graph(scenes, strategy, 0.5)
    text = json.dumps(nx.node_link_data(graph, edges="edges"))
    again = nx.node_link_graph(json.loads(text), edges="edges")
    space, weights = graph_affinity(again)
    assert space == scenes.space and again.graph == graph.graph
    assert np.array_equal(weights, affinity(scenes, graph.graph["kind"], 0.5))
    assert again.nodes["a"]["count"] == scenes.counts[0]


def test_order_comes_from_the_index_not_from_the_nodes(scenes):
    graph = label_graph(scenes, "cgp", 0.5)
    shuffled = nx.Graph(**graph.graph)
    shuffled.add_nodes_from(reversed(list(graph.nodes(data=True))))
    shuffled.add_edges_from(graph.edges(data=True))
    space, weights = graph_affinity(shuffled)
    assert space == scenes.space and np.array_equal(weights, affinity(scenes, "co", 0.5))
    shuffled.nodes["a"]["index"] = 5
    with pytest.raises(LabelError, match="indices 0 to 11"):
        graph_affinity(shuffled)


@pytest.mark.parametrize(("strategy", "exponent"), [("cgp", 1.0), ("dgp", 1 / 3)])
def test_company_is_the_same_on_every_graph(scenes, strategy, exponent):
    graph = label_graph(scenes, strategy, exponent)
    again = nx.node_link_graph(json.loads(json.dumps(nx.node_link_data(graph, edges="edges"))))
    assert np.array_equal(graph_company(again), affinity(scenes, "co", 0.5))


def test_labels_always_together_keep_full_company():
    states = np.array([[1, 1, 0], [1, 1, 1], [0, 0, 1]], dtype=np.int8)
    counted = count_labels(states, LabelSpace(("fork", "knife", "dog")))
    graph = label_graph(counted, "dgp", 1 / 3)
    assert not graph.has_edge("fork", "knife")
    assert np.allclose(graph_company(graph), affinity(counted, "co", 0.5))
    assert graph_company(graph)[0, 1] == 1.0


def test_a_graph_without_company_is_refused(scenes):
    graph = label_graph(scenes, "dgp", 1 / 3)
    del graph.edges["a", "b"]["company"]
    with pytest.raises(LabelError, match="'a' – 'b' of the label graph carries no 'company'"):
        graph_company(graph)


def test_labels_never_seen_have_no_company():
    counted = count_labels(np.array([[1, 0, 0]] * 3, dtype=np.int8), LabelSpace(("a", "b", "c")))
    assert label_graph(counted, "cgp", 0.5).number_of_edges() == 0
    assert label_graph(counted, "dgp", 0.5).number_of_edges() == 3


def test_bad_parameters(scenes):
    with pytest.raises(ParameterError, match="kind 'near'"):
        affinity(scenes, "near", 0.5)
    with pytest.raises(ParameterError, match="exponent 0"):
        affinity(scenes, "co", 0)
    with pytest.raises(ParameterError, match="strategy 'cpg'"):
        label_graph(scenes, "cpg", 0.5)


@pytest.mark.parametrize("exponent", [1 / 3, 0.5, 1.0])
def test_sparse_affinity_equals_the_conditionals_of_known_states(monkeypatch, exponent):
    monkeypatch.setattr(graph_module, "BLOCK_LABELS", 3)
    rng = np.random.default_rng(1)
    states = rng.choice([-1, 0, 0, 0, 1], size=(60, 8)).astype(np.int8)
    counted = count_labels(states, LabelSpace(tuple("abcdefgh")))
    powered = counted.conditional**exponent
    found = label_affinity(counted, exponent)
    assert counted.hidden.nnz and found.nnz == counted.together.nnz
    assert np.array_equal(found.toarray(), (powered + powered.T) / 2)

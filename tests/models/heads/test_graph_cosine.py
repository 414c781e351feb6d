"""Graph re-weighting: the adjacency of ML-GCN, a gate that folds into a constant."""

import numpy as np
import pytest
import torch

from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.labels.statistics import count_labels
from mlic.models.heads.graph_cosine import GraphCosineHead, label_adjacency

SPACE = LabelSpace(("fork", "knife", "sofa", "boat"))
FEATURES = torch.randn(3, 8, 4, 5, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def statistics():
    """A knife comes with a fork always, a fork with a knife in half of the images."""
    states = [[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]
    return count_labels(np.array(states, np.int8), SPACE)


@pytest.fixture
def make(statistics):
    def make(**options):
        torch.manual_seed(0)
        context = LabelContext(SPACE, statistics)
        return GraphCosineHead(8, context, **{"label_dim": 6, **options}).eval()

    return make


def test_adjacency_equals_the_formula_worked_out_by_hand(statistics):
    found = label_adjacency(statistics, threshold=0.45)
    # P(knife | fork) = .5, P(fork | knife) = 1, P(sofa | boat) = 1, all others below
    links = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]])
    a = 0.25 * links / (links.sum(axis=0) + 1e-6) + np.eye(4)
    d = np.diag(a.sum(axis=1) ** -0.5)
    np.testing.assert_allclose(found, d @ a.T @ d, rtol=1e-6)


def test_images_count_once_whatever_they_contain(statistics):
    # P(knife | fork) is 2 of 4 images, exactly; what a knife gets from a fork is in row 1
    assert label_adjacency(statistics, threshold=0.5)[1, 0] > 0
    assert label_adjacency(statistics, threshold=0.51)[1, 0] == 0
    alone = label_adjacency(statistics, threshold=1.0)
    assert (alone[:2, 2:] == 0).all()


def test_neighbours_can_be_counted_instead(statistics):
    found = label_adjacency(statistics, neighbours=1)
    links = (found - np.diag(np.diag(found))) > 0
    # transposed: column c lists the neighbour of c
    assert links.sum(axis=0).tolist() == [1, 1, 1, 1]
    assert label_adjacency(statistics, neighbours=3).astype(bool).sum() > links.sum() + 4


def test_label_without_a_neighbour_is_only_its_own():
    states = np.eye(3, dtype=np.int8)
    counts = count_labels(states, LabelSpace(("a", "b", "c")))
    for options in ({}, {"neighbours": 2}):
        np.testing.assert_array_equal(label_adjacency(counts, **options), np.eye(3))


@pytest.mark.parametrize("layer", ["gcn", "gat"])
@pytest.mark.parametrize("pooling", ["avg", "max", "avg+max"])
def test_folded_head_gives_the_same_logits(make, layer, pooling):
    head = make(layer=layer, pooling=pooling)
    folded = head.fold()
    torch.testing.assert_close(folded(FEATURES), head(FEATURES), atol=1e-5, rtol=0)
    assert sum(p.numel() for p in folded.parameters()) == 0
    assert head.gate.min() > 0 and head.gate.max() < 1 and head.gate.shape == (8,)


@pytest.mark.parametrize("layer", ["gcn", "gat"])
def test_gate_is_computed_again_from_loaded_weights(make, layer):
    trained = make(layer=layer)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    # a checkpoint is restored without statistics: it has the adjacency
    restored = GraphCosineHead(8, LabelContext(SPACE), label_dim=6, layer=layer).eval()
    restored.load_state_dict(trained.state_dict())
    torch.testing.assert_close(restored.fold()(FEATURES), trained(FEATURES), atol=1e-5, rtol=0)


def test_graph_layers_learn_and_the_adjacency_does_not(make):
    head = make(layer="gat").train()
    head(FEATURES).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in head.parameters())
    assert "adjacency" in head.state_dict() and "adjacency" not in dict(head.named_parameters())


def test_graph_matters(make):
    head = make()
    before = head.gate
    head.adjacency = torch.eye(4)
    assert (head.gate - before).abs().max() > 1e-4


def test_user_is_told_how_many_labels_the_graph_connects(make, caplog):
    with caplog.at_level("INFO"):
        make(threshold=0.45)
        make(threshold=1.0, neighbours=None)
        alone = count_labels(np.eye(4, dtype=np.int8), SPACE)
        GraphCosineHead(8, LabelContext(SPACE, alone), label_dim=6)
    found = [(record.levelname, record.args) for record in caplog.records]
    assert found == [("INFO", (1, 4)), ("INFO", (2, 4)), ("WARNING", (4, 4))]


def test_order_of_positions_does_not_matter(make):
    head = make(pooling="avg+max")
    order = torch.randperm(20)
    permuted = FEATURES.flatten(2)[..., order].view_as(FEATURES)
    torch.testing.assert_close(head(permuted), head(FEATURES))


@pytest.mark.parametrize(
    "options",
    [
        {"layer": "gan"},
        {"pooling": "sum"},
        {"threshold": 0.0},
        {"neighbours": 0},
        {"dropout": 1.0},
        {"scale": -1},
    ],
)
def test_options_out_of_range_are_refused(make, options):
    with pytest.raises(ValueError):
        make(**options)

"""Label tokens in an encoder: one classifier for all labels, locations without an order."""

import numpy as np
import pytest
import torch

from mlic.errors import ParameterError
from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.labels.embeddings import LabelEmbeddings
from mlic.models.heads.transformer_encoder import TransformerEncoderHead
from mlic.utils.plugins import build_plugin

SMALL = {"width": 16, "layers": 2, "heads": 2, "feedforward": 24}


def label_context(num_labels, dimension=None):
    """Labels, with random embeddings if a dimension is given."""
    space = LabelSpace(tuple(f"label {i}" for i in range(num_labels)))
    if dimension is None:
        return LabelContext(space)
    vectors = np.random.default_rng(0).normal(size=(num_labels, dimension))
    return LabelContext(space, embeddings=LabelEmbeddings(space, vectors, "glove"))


def make(num_labels=3, **options):
    context = label_context(num_labels, dimension=5)
    return TransformerEncoderHead(8, context, **{**SMALL, **options}).eval()


FEATURES = torch.randn(2, 8, 3, 4, generator=torch.Generator().manual_seed(0))


def test_size_in_full_equals_the_one_counted_by_hand():
    with torch.device("meta"):
        head = TransformerEncoderHead(2048, label_context(80, dimension=300))
    locations, labels = 2048 * 1024 + 1024, 300 * 1024 + 1024
    attention = 4 * (1024 * 1024 + 1024)
    feedforward = 2 * (1024 * 1024 + 1024)
    layer = attention + feedforward + 2 * 2 * 1024
    trained = sum(p.numel() for p in head.parameters() if p.requires_grad)
    assert trained == locations + labels + 3 * layer + 1024 + 1 == 21_312_513
    assert sum(p.numel() for p in head.parameters()) == trained + 80 * 300


def test_shape_of_no_trained_weight_depends_on_the_number_of_labels():
    few, many = (dict(make(n).named_parameters()) for n in (2, 7))
    shapes = [{k: v.shape for k, v in w.items() if v.requires_grad} for w in (few, many)]
    assert shapes[0] == shapes[1]


def test_labels_differ_only_by_their_embeddings():
    head = make(4)
    permuted = torch.tensor([2, 0, 3, 1])
    logits = head(FEATURES, None)
    head.embeddings.weight.data = head.embeddings.weight[permuted]
    torch.testing.assert_close(head(FEATURES, None), logits[:, permuted])
    head.embeddings.weight.data[1] = head.embeddings.weight[0]
    logits = head(FEATURES, None)
    torch.testing.assert_close(logits[:, 0], logits[:, 1])


def test_order_of_locations_does_not_matter():
    head, permuted = make(), torch.randperm(12)
    moved = FEATURES.flatten(2)[:, :, permuted].unflatten(2, (3, 4))
    torch.testing.assert_close(head(moved, None), head(FEATURES, None))
    attention = head.attention(FEATURES, None).flatten(2)[:, :, permuted].unflatten(2, (3, 4))
    torch.testing.assert_close(head.attention(moved, None), attention)


def test_every_label_attends_to_every_location():
    head, features = make(), FEATURES.clone().requires_grad_()
    (grads,) = torch.autograd.grad(head(features, None)[0, 1], features)
    assert (grads[0].abs().sum(0) > 0).all() and not grads[1].any()


def test_attention_is_that_of_the_last_layer():
    """It equals softmax(Q Kᵀ / √d), for one attention head."""
    head = make(layers=1, heads=1)
    tokens = head.layers[0].norm1(head._encode(FEATURES, 0))
    weights = head.layers[0].self_attn
    query, key, _ = (tokens @ weights.in_proj_weight.T + weights.in_proj_bias).chunk(3, 2)
    expected = (query @ key.transpose(1, 2) / 16**0.5).softmax(2)[:, 12:, :12]
    attention = head.attention(FEATURES, None)
    assert attention.shape == (2, 3, 3, 4)
    torch.testing.assert_close(attention.flatten(2), expected)
    assert (attention.sum((2, 3)) < 1).all()


def test_layers_start_from_different_weights():
    first, second = make().layers
    assert not torch.equal(first.linear1.weight, second.linear1.weight)


def test_embeddings_are_trained_where_none_are_given():
    head = TransformerEncoderHead(8, label_context(3), label_dim=7, **SMALL)
    head(FEATURES, None).sum().backward()
    assert head.embeddings.weight.shape == (3, 7)
    assert head.embeddings.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"width": "wide"}, "width='wide'"),
        ({"layers": 0}, "layers=0"),
        ({"feedforward": 2.0}, "feedforward=2.0"),
        ({"heads": True}, "heads=True"),
        ({"width": 10, "heads": 4}, "width=10"),
        ({"dropout": 1}, "dropout=1"),
        ({"depth": 1}, "depth"),
    ],
)
def test_wrong_option_is_named_with_the_known_options(options, named):
    with pytest.raises(ParameterError, match=named) as caught:
        build_plugin("mlic.models.heads", "transformer_encoder", options, 8, label_context(3))
    known = ["label_dim", "width", "layers", "heads", "feedforward", "dropout"]
    assert caught.value.fields == {"name": "transformer_encoder", "expected": known}


@pytest.mark.parametrize("shape", [(2, 12, 8), (2, 3, 4, 8)])
def test_features_that_are_no_map_are_refused(shape):
    with pytest.raises(ParameterError):
        make()(torch.zeros(shape), None)

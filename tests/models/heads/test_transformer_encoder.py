"""Label tokens in an encoder: one classifier for all labels, places without an order."""

import pytest
import torch
from torch import nn

from mlic.errors import ParameterError
from mlic.models.heads.transformer_encoder import TransformerEncoderHead
from mlic.utils.plugins import build_plugin

SMALL = {"width": 16, "layers": 2, "heads": 2, "feedforward": 24}


def make(num_labels=3, **options):
    vectors = torch.randn(num_labels, 5)
    embeddings = nn.Embedding.from_pretrained(vectors)
    return TransformerEncoderHead(8, num_labels, embeddings, **{**SMALL, **options}).eval()


FEATURES = torch.randn(2, 8, 3, 4, generator=torch.Generator().manual_seed(0))


def test_its_size_in_full_is_the_one_counted_by_hand():
    with torch.device("meta"):
        embeddings = nn.Embedding.from_pretrained(torch.zeros(80, 300))
        head = TransformerEncoderHead(2048, 80, embeddings)
    places, labels = 2048 * 1024 + 1024, 300 * 1024 + 1024
    attention = 4 * (1024 * 1024 + 1024)
    feedforward = 2 * (1024 * 1024 + 1024)
    layer = attention + feedforward + 2 * 2 * 1024
    learnt = sum(p.numel() for p in head.parameters() if p.requires_grad)
    assert learnt == places + labels + 3 * layer + 1024 + 1 == 21_312_513
    assert sum(p.numel() for p in head.parameters()) == learnt + 80 * 300


def test_no_learnt_weight_depends_on_the_number_of_labels():
    few, many = (dict(make(n).named_parameters()) for n in (2, 7))
    shapes = [{k: v.shape for k, v in w.items() if v.requires_grad} for w in (few, many)]
    assert shapes[0] == shapes[1]


def test_labels_are_told_apart_by_their_embeddings_alone():
    head = make(4)
    turned = torch.tensor([2, 0, 3, 1])
    logits = head(FEATURES, None)
    head.embeddings.weight.data = head.embeddings.weight[turned]
    torch.testing.assert_close(head(FEATURES, None), logits[:, turned])
    head.embeddings.weight.data[1] = head.embeddings.weight[0]
    logits = head(FEATURES, None)
    torch.testing.assert_close(logits[:, 0], logits[:, 1])


def test_places_are_a_set():
    head, turned = make(), torch.randperm(12)
    moved = FEATURES.flatten(2)[:, :, turned].unflatten(2, (3, 4))
    torch.testing.assert_close(head(moved, None), head(FEATURES, None))
    looks = head.attention(FEATURES, None).flatten(2)[:, :, turned].unflatten(2, (3, 4))
    torch.testing.assert_close(head.attention(moved, None), looks)


def test_every_label_reads_every_place():
    head, features = make(), FEATURES.clone().requires_grad_()
    (grads,) = torch.autograd.grad(head(features, None)[0, 1], features)
    assert (grads[0].abs().sum(0) > 0).all() and not grads[1].any()


def test_attention_is_that_of_the_last_layer():
    """Against softmax(Q Kᵀ / √d) written out, for one attention head."""
    head = make(layers=1, heads=1)
    tokens = head.layers[0].norm1(head._encode(FEATURES, 0))
    weights = head.layers[0].self_attn
    query, key, _ = (tokens @ weights.in_proj_weight.T + weights.in_proj_bias).chunk(3, 2)
    expected = (query @ key.transpose(1, 2) / 16**0.5).softmax(2)[:, 12:, :12]
    looks = head.attention(FEATURES, None)
    assert looks.shape == (2, 3, 3, 4)
    torch.testing.assert_close(looks.flatten(2), expected)
    assert (looks.sum((2, 3)) < 1).all()


def test_layers_start_from_weights_of_their_own():
    first, second = make().layers
    assert not torch.equal(first.linear1.weight, second.linear1.weight)


def test_without_given_embeddings_they_are_learnt():
    head = TransformerEncoderHead(8, 3, **SMALL)
    head(FEATURES, None).sum().backward()
    assert head.embeddings.weight.shape == (3, 300)
    assert head.embeddings.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"width": "wide"}, "width='wide' must be a whole number above 0"),
        ({"layers": 0}, "layers=0 must be a whole number above 0"),
        ({"feedforward": 2.0}, "feedforward=2.0 must be a whole number"),
        ({"heads": True}, "heads=True must be a whole number"),
        ({"width": 10, "heads": 4}, "width=10 must be a multiple of heads=4"),
        ({"dropout": 1}, "dropout=1 must be a number from 0 to below 1"),
        ({"depth": 1}, "depth"),
    ],
)
def test_a_wrong_option_is_named_beside_those_there_are(options, told):
    with pytest.raises(ParameterError) as caught:
        build_plugin("mlic.models.heads", "transformer_encoder", options, 8, 3, nn.Embedding(3, 5))
    assert told in str(caught.value)
    options = "width, layers, heads, feedforward, dropout"
    assert str(caught.value).endswith(f"its options are {options}")


@pytest.mark.parametrize("shape", [(2, 12, 8), (2, 3, 4, 8)])
def test_what_is_no_map_is_refused(shape):
    with pytest.raises(ParameterError, match=r"needs a feature map.*choose a convolutional"):
        make()(torch.zeros(shape), None)

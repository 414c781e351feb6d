"""Query2Label: label queries attend to locations, and not to each other."""

import pytest
import torch
from torch import nn

from mlic.errors import ParameterError
from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.models.heads.query_decoder import QueryDecoderHead, _AttentionLayer, sine_code
from mlic.utils.plugins import build_plugin

SMALL = {"width": 16, "heads": 2, "feedforward": 24}
FEATURES = torch.randn(2, 8, 3, 4, generator=torch.Generator().manual_seed(0))


def label_context(num_labels):
    return LabelContext(LabelSpace(tuple(f"label {i}" for i in range(num_labels))))


def make(num_labels=3, **options):
    return QueryDecoderHead(8, label_context(num_labels), **{**SMALL, **options}).eval()


@pytest.mark.parametrize(("num_features", "projection"), [(2048, 0), (2432, 2432 * 2048 + 2048)])
def test_size_in_full_equals_the_one_counted_by_hand(num_features, projection):
    with torch.device("meta"):
        head = QueryDecoderHead(num_features, label_context(80))
    attention = 4 * (2048 * 2048 + 2048)
    feedforward = 2048 * 8192 + 8192 + 8192 * 2048 + 2048
    layer = attention + feedforward + 2 * 2 * 2048
    labels = 80 * 2048 + 80 * 2048 + 80
    expected = projection + (1 + 2) * layer + 2 * 2048 + labels
    assert sum(p.numel() for p in head.parameters()) == expected == 151_406_672 + projection


def test_layer_on_its_own_tokens_equals_torchs_encoder_layer():
    ours = _AttentionLayer(16, 2, 24, 0.1).eval()
    oracle = nn.TransformerEncoderLayer(16, 2, 24, batch_first=True).eval()
    oracle.self_attn.load_state_dict(ours.attention.state_dict())
    pairs = (
        (oracle.linear1, ours.feedforward[0]),
        (oracle.linear2, ours.feedforward[3]),
        (oracle.norm1, ours.norm_attention),
        (oracle.norm2, ours.norm_feedforward),
    )
    for theirs, mine in pairs:
        theirs.load_state_dict(mine.state_dict())
    tokens, code = torch.randn(2, 5, 16), torch.zeros(5, 16)
    torch.testing.assert_close(ours(tokens, code, tokens, code), oracle(tokens))


def test_logit_of_a_label_depends_on_no_other_label():
    head = make()
    logits, attention = head(FEATURES, None), head.attention(FEATURES, None)
    head.queries.weight.data[0] += 1
    head.classify.weight.data[0] += 1
    after = head(FEATURES, None)
    assert not torch.isclose(after[:, 0], logits[:, 0]).any()
    torch.testing.assert_close(after[:, 1:], logits[:, 1:])
    torch.testing.assert_close(head.attention(FEATURES, None)[:, 1:], attention[:, 1:])


def test_logits_are_group_wise_linear():
    head = make()
    head.norm.weight.data.zero_()  # every token becomes the norm's bias
    head.norm.bias.data.uniform_()
    expected = head.classify(head.norm.bias)
    torch.testing.assert_close(head(FEATURES, None), expected.expand(2, -1))


def test_order_of_locations_matters():
    head, permuted = make(), torch.randperm(12)
    moved = FEATURES.flatten(2)[:, :, permuted].unflatten(2, (3, 4))
    assert not torch.isclose(head(moved, None), head(FEATURES, None)).any()


def test_attention_sums_to_one_over_the_locations():
    attention = make().attention(FEATURES, None)
    assert attention.shape == (2, 3, 3, 4) and (attention >= 0).all()
    torch.testing.assert_close(attention.sum((2, 3)), torch.ones(2, 3))


def test_attention_is_the_one_that_forward_uses():
    """With one layer and one attention head, it reproduces what the layer attends to."""
    head = make(decoder_layers=1, heads=1)
    layer = head.decoder[0]
    memory, code = head._encode(FEATURES)
    labels, queries = torch.zeros(2, 3, 16), head.queries.weight
    attended, _ = layer.attention(queries + labels, memory + code, memory)
    value = nn.functional.linear(
        memory, layer.attention.in_proj_weight[32:], layer.attention.in_proj_bias[32:]
    )
    mixed = head.attention(FEATURES, None).flatten(2) @ value
    torch.testing.assert_close(layer.attention.out_proj(mixed), attended)


def test_position_code_differs_for_all_locations():
    code = sine_code(14, 18, 64)
    assert code.shape == (14 * 18, 64) and code.dtype == torch.float32 and code.abs().max() <= 1
    gaps = torch.cdist(code, code) + torch.eye(len(code)) * 9
    assert gaps.min() > 0.1


def test_position_code_holds_rows_then_columns():
    code, permuted = (
        sine_code(5, 7, 8).unflatten(0, (5, 7)),
        sine_code(7, 5, 8).unflatten(0, (7, 5)),
    )
    rows, columns = code.chunk(2, 2)
    assert torch.equal(rows, rows[:, :1].expand_as(rows))
    assert torch.equal(columns, columns[:1].expand_as(columns))
    assert torch.equal(columns.transpose(0, 1), permuted.chunk(2, 2)[0])


def test_corresponding_locations_of_two_sizes_have_equal_codes():
    small, large = sine_code(7, 7, 32), sine_code(14, 14, 32).unflatten(0, (14, 14))
    torch.testing.assert_close(large[1::2, 1::2].flatten(0, 1), small, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"width": 10, "heads": 2}, "width=10"),
        ({"decoder_layers": "two"}, "decoder_layers='two'"),
        ({"dropout": "a"}, "dropout='a'"),
        ({"embeddings": None}, "embeddings"),
    ],
)
def test_wrong_option_is_named_with_the_known_options(options, named):
    with pytest.raises(ParameterError, match=named) as caught:
        build_plugin("mlic.models.heads", "query_decoder", options, 8, label_context(3))
    known = ["width", "encoder_layers", "decoder_layers", "heads", "feedforward", "dropout"]
    assert caught.value.fields == {"name": "query_decoder", "expected": known}


def test_features_that_are_no_map_are_refused():
    with pytest.raises(ParameterError):
        make()(torch.zeros(2, 12, 8), None)

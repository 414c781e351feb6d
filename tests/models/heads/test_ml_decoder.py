"""ML-Decoder: group queries, any number of labels, plain and cosine logits."""

import pytest
import torch

from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.models.heads.ml_decoder import MlDecoderHead

FEATURES = torch.randn(2, 8, 3, 4, generator=torch.Generator().manual_seed(0))


def context(number):
    return LabelContext(LabelSpace(tuple(f"label {i}" for i in range(number))))


def make(number=5, **options):
    torch.manual_seed(0)
    small = {"width": 16, "heads": 2, "feedforward": 24, "queries": 3}
    return MlDecoderHead(8, context(number), **{**small, **options}).eval()


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_published_size():
    with torch.device("meta"):
        head = MlDecoderHead(1280, context(80))
    attention = 4 * (768 * 768 + 768)
    feedforward = 768 * 2048 + 2048 + 2048 * 768 + 768
    expected = 1280 * 768 + 768 + attention + feedforward + 3 * 2 * 768 + 80 * 768 + 80
    assert count(head) == expected
    assert round(expected / 1e6, 1) == 6.6


def test_ten_thousand_labels_have_a_hundred_queries():
    with torch.device("meta"):
        head = MlDecoderHead(2048, context(10_000))
        logits = head(torch.empty(2, 2048, 7, 7))
    assert head.queries.shape == (100, 768) and head.groups.shape == (100, 768, 100)
    assert logits.shape == (2, 10_000)


def test_one_real_step_with_two_thousand_labels():
    head = make(2000, queries=100).train()
    before = head.groups.detach().clone()
    optimiser = torch.optim.SGD(head.parameters(), lr=1.0)
    head(FEATURES).square().mean().backward()
    optimiser.step()
    assert not torch.equal(head.groups, before)


def test_each_label_reads_the_query_of_its_group_only():
    head = make(5)  # groups of two labels; the last has one
    before = head(FEATURES)
    with torch.no_grad():
        head.groups[1] = 0
    after = head(FEATURES)
    assert (after[:, 2:4] == 0).all()
    torch.testing.assert_close(after[:, [0, 1, 4]], before[:, [0, 1, 4]])


def test_with_few_labels_each_has_a_query():
    assert make(2).queries.shape[0] == 2 and make(2).groups.shape[2] == 1


def test_queries_are_fixed_unless_they_are_learned():
    fixed, learned = make(), make(learned_queries=True)
    assert "queries" in fixed.state_dict() and "queries" not in dict(fixed.named_parameters())
    assert "queries" in dict(learned.named_parameters())
    torch.testing.assert_close(fixed(FEATURES), learned(FEATURES))


def test_cosine_logits_are_within_the_scale_and_ignore_lengths():
    head = make(scale=20)
    logits = head(FEATURES)
    assert logits.abs().max() <= 20
    with torch.no_grad():
        head.groups *= 7
    torch.testing.assert_close(head(FEATURES), logits)


def test_order_of_positions_does_not_matter():
    head, order = make(), torch.randperm(12)
    permuted = FEATURES.flatten(2)[..., order].view_as(FEATURES)
    torch.testing.assert_close(head(permuted), head(FEATURES))
    tokens = FEATURES.flatten(2).transpose(1, 2)
    torch.testing.assert_close(head(tokens), head(FEATURES))


def test_attention_is_that_of_the_query_of_the_labels_group():
    maps = make().attention(FEATURES)
    assert maps.shape == (2, 5, 3, 4)
    torch.testing.assert_close(maps.sum(dim=(2, 3)), torch.ones(2, 5))
    torch.testing.assert_close(maps[:, 0], maps[:, 1])
    assert not torch.allclose(maps[:, 1], maps[:, 2])


@pytest.mark.parametrize("options", [{"heads": 3}, {"queries": 0}, {"scale": 0}, {"dropout": 1}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError):
        make(**options)

"""Cosine heads: directions alone decide, in full precision."""

import pytest
import torch
from torch.nn.functional import cosine_similarity

from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.models.heads.cosine import CosineHead

CONTEXT = LabelContext(LabelSpace(("a", "b", "c")))
FEATURES = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def head():
    return CosineHead(8, CONTEXT, scale=20)


def test_logits_are_scaled_cosines(head):
    expected = 20 * cosine_similarity(FEATURES[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(head(FEATURES), expected)


def test_lengths_do_not_matter(head):
    logits = head(FEATURES)
    with torch.no_grad():
        head.weight *= torch.tensor([[2.0], [0.1], [30.0]])
    torch.testing.assert_close(head(1e-3 * FEATURES), logits)


def test_opposite_and_equal_directions_reach_the_scale_and_no_more(head):
    directions = torch.cat([head.weight, -head.weight]).detach()
    logits = head(1e4 * directions)
    torch.testing.assert_close(logits.diagonal(), torch.full((3,), 20.0))
    assert logits.abs().max() <= 20


def test_mixed_precision_keeps_the_digits_of_the_cosine(head):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = head(FEATURES)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, head(FEATURES))


def test_features_that_are_all_zero_give_no_nan(head):
    features = torch.zeros(2, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(head(features).sum(), features)
    assert gradient.isfinite().all()


def test_automatic_scale_follows_the_number_of_labels():
    many = LabelContext(LabelSpace(tuple(f"label {i}" for i in range(500))))
    assert CosineHead(8, CONTEXT).scale == 7
    assert CosineHead(8, many).scale == pytest.approx(13.9, abs=0.01)


@pytest.mark.parametrize("scale", [0, -1.0, "large", True])
def test_wrong_scale_is_refused(scale):
    with pytest.raises(ValueError):
        CosineHead(8, CONTEXT, scale=scale)

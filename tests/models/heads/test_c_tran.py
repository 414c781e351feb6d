"""C-Tran: known labels as states of label tokens, image tokens without an order."""

import timm
import torch
from torch import nn

from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.models.classifier import build_classifier
from mlic.models.heads.c_tran import CTranHead
from mlic.models.options import ModelOptions

FEATURES = torch.randn(2, 8, 3, 4, generator=torch.Generator().manual_seed(0))
UNKNOWN = torch.full((2, 3), -1)


def context(num_labels=3):
    return LabelContext(LabelSpace(tuple(f"label {i}" for i in range(num_labels))))


def make(num_labels=3, **options):
    torch.manual_seed(0)
    return CTranHead(8, context(num_labels), **{"width": 16, "layers": 2, **options}).eval()


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_published_size():
    with torch.device("meta"):
        head = CTranHead(2048, context(80))
        backbone = timm.create_model("resnet101")  # with its classifier, as the release keeps it
    assert count(head.layers) == 3 * (4 * (2048**2 + 2048) + 2 * (2048**2 + 2048) + 4 * 2048)
    assert round(count(head.layers) / 1e6, 2) == 75.56
    assert round((count(head) + count(backbone)) / 1e6, 1) == 120.4


def test_order_of_image_tokens_does_not_matter():
    head, known = make(), torch.tensor([[1, -1, 0], [-1, -1, -1]])
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    permuted = FEATURES.flatten(2)[..., order].view_as(FEATURES)
    torch.testing.assert_close(head(permuted, known), head(FEATURES, known))


def test_maps_with_channels_last_and_tokens_give_the_same_logits():
    head = make()
    last = FEATURES.permute(0, 2, 3, 1)
    for features in (last, last.flatten(1, 2)):
        torch.testing.assert_close(head(features), head(FEATURES))


def test_unknown_is_the_zero_vector_and_the_same_as_no_known_labels():
    head = make()
    assert not head.states.weight[0].any() and head.states.weight[1:].any(dim=1).all()
    torch.testing.assert_close(head(FEATURES, UNKNOWN), head(FEATURES, None))


def test_unknown_stays_zero_in_training():
    head, loss = make().train(), nn.BCEWithLogitsLoss()
    optimiser = torch.optim.AdamW(head.parameters(), lr=0.1, weight_decay=0.1)
    before = head.states.weight.detach().clone()
    for _ in range(3):
        optimiser.zero_grad()
        known = torch.tensor([[1, -1, 0], [-1, 0, 1]])
        loss(head(FEATURES, known), torch.ones(2, 3)).backward()
        optimiser.step()
    assert not head.states.weight[0].any()
    assert not torch.equal(head.states.weight[1:], before[1:])


def test_known_state_of_one_label_changes_the_logits_of_the_others_of_its_image_only():
    head, none = make(), make()(FEATURES)
    present, absent = (
        head(FEATURES, torch.tensor([[state, -1, -1], [-1, -1, -1]])) for state in (1, 0)
    )
    assert (present[0, 1:] - none[0, 1:]).abs().min() > 1e-4
    assert (present[0, 1:] - absent[0, 1:]).abs().min() > 1e-4
    torch.testing.assert_close(present[1], none[1])


def test_each_label_reads_its_own_token_only():
    head = make()
    before = head(FEATURES)
    with torch.no_grad():
        head.classify.weight[1] = 0
        head.classify.bias[1] = 5
    after = head(FEATURES)
    assert (after[:, 1] == 5).all()
    torch.testing.assert_close(after[:, [0, 2]], before[:, [0, 2]])


def test_works_without_image_tokens():
    assert make()(torch.zeros(2, 0, 8), UNKNOWN).shape == (2, 3)


def test_attention_of_a_vision_transformer_lies_on_its_patches():
    head = make()
    found = head.attention(torch.randn(2, 2 + 9, 8))
    assert found.shape == (2, 3, 3, 3)
    assert (found >= 0).all() and (found.sum(dim=(2, 3)) < 1).all()


def test_attention_is_that_of_the_last_layer():
    head = make(layers=1)
    tokens = head._encode(FEATURES, None, 0)
    _, weights = head.layers[0].self_attn(tokens, tokens, tokens)
    torch.testing.assert_close(head.attention(FEATURES).flatten(2), weights[:, 12:, :12])


def test_any_backbone_can_carry_it():
    for backbone, options in (
        ("test_resnet", {}),
        ("test_vit", {"img_size": 32}),
        ("mobilenetv3_small_050", {}),  # its pooled features have more channels than its map
    ):
        chosen = ModelOptions(
            backbone=backbone,
            backbone_options=options,
            head="c_tran",
            head_options={"width": 16, "layers": 1},
        )
        model = build_classifier(chosen, context()).eval()
        images, known = torch.randn(2, 3, 32, 32), torch.tensor([[1, -1, -1], [-1, -1, -1]])
        assert not torch.equal(model(images, known)[0], model(images)[0])

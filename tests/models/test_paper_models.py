"""The five models of the paper: whole in size, and a narrow one of each that learns."""

import numpy as np
import pytest
import torch

from mlic.errors import ParameterError
from mlic.models.classifier import build_classifier
from mlic.models.options import ModelOptions

RESNET = {"backbone": "resnet101"}
GLOVE = {"source": "glove", "file": "glove.npz"}
ENCODER = {"head": "transformer_encoder", "embeddings": GLOVE}
LINEAR_2048, LINEAR_2432 = 2048 * 80 + 80, 2432 * 80 + 80
# the backbones' sizes are timm's published ones less their own classifiers of 1000 labels:
# 44.55 M, 55.99 M and 25.03 M; the heads' are counted by hand in their own tests
PAPER = [
    (RESNET, 44_549_160 - 2_049_000 + LINEAR_2048),
    ({"backbone": "tresnet_l"}, 55_989_256 - 2_433_000 + LINEAR_2432),
    ({"backbone": "resnext50_32x4d"}, 25_028_904 - 2_049_000 + LINEAR_2048),
    ({**RESNET, **ENCODER}, 44_549_160 - 2_049_000 + 21_312_513),
    ({**RESNET, "head": "query_decoder"}, 44_549_160 - 2_049_000 + 151_406_672),
]
NARROW = {"channels": [8, 8, 16, 16], "stem_width": 8}
SMALL = {"width": 16, "heads": 2, "feedforward": 16}
STAND_INS = [
    {"backbone": "resnet101", "backbone_options": {**NARROW, "layers": [1, 1, 1, 1]}},
    {
        "backbone": "tresnet_l",
        "backbone_options": {"layers": [1, 1, 1, 1], "width_factor": 0.125},
    },
    {
        "backbone": "resnext50_32x4d",
        "backbone_options": {**NARROW, "layers": [1, 1, 1, 1], "cardinality": 2, "base_width": 32},
    },
]


def count(model, learnt):
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not learnt)


@pytest.mark.parametrize(("options", "expected"), PAPER)
def test_each_in_full_has_the_size_it_is_known_by(options, expected):
    with torch.device("meta"):
        model = build_classifier(ModelOptions(**options), 80, load_weights=False)
        logits = model(torch.zeros(1, 3, 448, 448))
    assert logits.shape == (1, 80)
    assert count(model, learnt=True) == expected


def test_the_published_frozen_parts_of_query2label_are_frozen():
    options = ModelOptions(
        **RESNET,
        head="query_decoder",
        weights="pretrained",
        frozen=("conv1", "layer1"),
        freeze_batch_norm=True,
    )
    with torch.device("meta"):
        model = build_classifier(options, 80, load_weights=False)
    first = 3 * 64 * 49 + (64 * 64 + 64 * 64 * 9 + 2 * 64 * 256) + 2 * (2 * 64 * 256 + 64 * 64 * 9)
    norms = 105_344  # two a channel of all 104 batch norms
    assert count(model, learnt=True) == PAPER[-1][1] - first - norms


@pytest.mark.parametrize("stand_in", STAND_INS, ids=lambda options: options["backbone"])
@pytest.mark.parametrize("head", ["linear", "transformer_encoder", "query_decoder"])
def test_a_narrow_one_learns(stand_in, head):
    own = {} if head == "linear" else {"head_options": SMALL}
    torch.manual_seed(0)
    model = build_classifier(ModelOptions(**stand_in, head=head, **own), 3).train()
    images, truth = torch.rand(4, 3, 64, 64), torch.eye(4)[:, :3]
    optimiser = torch.optim.Adam(model.parameters(), lr=0.003)
    losses = []
    for _ in range(6):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(images), truth)
        optimiser.zero_grad()
        loss.backward()
        untouched = [name for name, p in model.named_parameters() if p.grad is None]
        assert not untouched
        optimiser.step()
        losses.append(loss.item())
    assert min(losses[1:]) < losses[0]


@pytest.mark.parametrize("head", ["transformer_encoder", "query_decoder"])
def test_attention_lies_on_the_backbones_map(head):
    options = ModelOptions(**STAND_INS[0], head=head, head_options=SMALL)
    model = build_classifier(options, 3).eval()
    features = model.backbone.forward_features(torch.rand(2, 3, 96, 64))
    assert model.head.attention(features, None).shape == (2, 3, 3, 2)


def test_given_embeddings_are_fixed_and_learned_ones_are_not():
    given = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    fixed = {"source": "glove", "file": "gone.txt", "dimension": 5}
    options = {"backbone": "test_resnet", "head": "transformer_encoder", "head_options": SMALL}
    model = build_classifier(ModelOptions(**options, embeddings=fixed), 3, embeddings=given)
    rows = model.head.embeddings.weight
    assert np.array_equal(rows.numpy(), given) and not rows.requires_grad
    given[:] = 0
    assert rows.abs().min() > 0  # a copy
    learned = build_classifier(ModelOptions(**options, embeddings={"dimension": 7}), 3)
    assert learned.head.embeddings.weight.shape == (3, 7)
    assert learned.head.embeddings.weight.requires_grad


@pytest.mark.parametrize("vectors", [None, np.zeros((3, 4), np.float32)])
def test_embeddings_that_do_not_fit_are_refused(vectors):
    options = ModelOptions(
        backbone="test_resnet",
        head="transformer_encoder",
        head_options=SMALL,
        embeddings={"source": "spectral", "dimension": 5},
    )
    with pytest.raises(ParameterError, match=r"'spectral' needs vectors of shape \(3, 5\), but"):
        build_classifier(options, 3, embeddings=vectors)


def test_a_head_that_takes_no_embeddings_says_so():
    options = ModelOptions(backbone="test_resnet", embeddings=GLOVE)
    with pytest.raises(ParameterError, match="the head 'linear' takes no label embeddings"):
        build_classifier(options, 3)


def test_heads_on_maps_refuse_a_backbone_without():
    options = ModelOptions(backbone="test_vit", head="query_decoder", head_options=SMALL)
    model = build_classifier(options, 3)
    with pytest.raises(ParameterError, match="choose a convolutional backbone"):
        model(torch.zeros(2, 3, 160, 160))


def test_random_weights_are_not_frozen():
    with pytest.raises(ValueError, match="would keep random weights"):
        ModelOptions(backbone="test_resnet", frozen=["conv1"])


def test_a_part_that_is_not_there_is_told():
    options = ModelOptions(backbone="test_resnet", weights="pretrained", frozen=["layer9"])
    with pytest.raises(ParameterError, match=r"no part 'layer9'; its parts are conv1, bn1"):
        build_classifier(options, 3, load_weights=False)

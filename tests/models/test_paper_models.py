"""The five models of the paper: sizes in full, and narrow versions that learn."""

import numpy as np
import pytest
import torch

from mlic.errors import ParameterError
from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.labels.embeddings import LabelEmbeddings
from mlic.models.classifier import build_classifier
from mlic.models.options import ModelOptions

RESNET = {"backbone": "resnet101"}
GLOVE = {"source": "glove", "file": "glove.npz"}
ENCODER = {"head": "transformer_encoder", "embeddings": GLOVE}
LINEAR_2048, LINEAR_2432 = 2048 * 80 + 80, 2432 * 80 + 80
# sizes of the backbones as timm publishes them (44.55 M, 55.99 M and 25.03 M), minus their own
# classifiers of 1000 labels; the sizes of the heads are counted by hand in their own tests
PAPER = [
    (RESNET, 44_549_160 - 2_049_000 + LINEAR_2048),
    ({"backbone": "tresnet_l"}, 55_989_256 - 2_433_000 + LINEAR_2432),
    ({"backbone": "resnext50_32x4d"}, 25_028_904 - 2_049_000 + LINEAR_2048),
    ({**RESNET, **ENCODER}, 44_549_160 - 2_049_000 + 21_312_513),
    ({**RESNET, "head": "query_decoder"}, 44_549_160 - 2_049_000 + 151_406_672),
]
NARROW = {"channels": [8, 8, 16, 16], "stem_width": 8}
SMALL = {"width": 16, "heads": 2, "feedforward": 16}
NARROW_MODELS = [
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


def label_context(num_labels, vectors=None, source="glove"):
    space = LabelSpace(tuple(f"label {i}" for i in range(num_labels)))
    given = None if vectors is None else LabelEmbeddings(space, vectors, source)
    return LabelContext(space, embeddings=given)


THREE = label_context(3)


def count_trainable(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize(("options", "expected"), PAPER)
def test_full_models_have_the_published_sizes(options, expected):
    with torch.device("meta"):
        model = build_classifier(ModelOptions(**options), label_context(80), load_weights=False)
        logits = model(torch.zeros(1, 3, 448, 448))
    assert logits.shape == (1, 80)
    assert count_trainable(model) == expected


def test_parts_that_query2label_freezes_are_frozen():
    options = ModelOptions(
        **RESNET,
        head="query_decoder",
        weights="pretrained",
        frozen=("conv1", "layer1"),
        freeze_batch_norm=True,
    )
    with torch.device("meta"):
        model = build_classifier(options, label_context(80), load_weights=False)
    first = 3 * 64 * 49 + (64 * 64 + 64 * 64 * 9 + 2 * 64 * 256) + 2 * (2 * 64 * 256 + 64 * 64 * 9)
    norms = 105_344  # two for each channel of all 104 batch norms
    assert count_trainable(model) == PAPER[-1][1] - first - norms


@pytest.mark.parametrize("narrow", NARROW_MODELS, ids=lambda options: options["backbone"])
@pytest.mark.parametrize("head", ["linear", "transformer_encoder", "query_decoder"])
def test_narrow_models_learn(narrow, head):
    sizes = {} if head == "linear" else {"head_options": SMALL}
    torch.manual_seed(0)
    model = build_classifier(ModelOptions(**narrow, head=head, **sizes), THREE).train()
    images, truth = torch.rand(4, 3, 64, 64), torch.eye(4)[:, :3]
    optimiser = torch.optim.Adam(model.parameters(), lr=0.003)
    losses = []
    for _ in range(6):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(images), truth)
        optimiser.zero_grad()
        loss.backward()
        without_gradient = [name for name, p in model.named_parameters() if p.grad is None]
        assert not without_gradient
        optimiser.step()
        losses.append(loss.item())
    assert min(losses[1:]) < losses[0]


@pytest.mark.parametrize("head", ["transformer_encoder", "query_decoder"])
def test_attention_has_the_shape_of_the_feature_map(head):
    options = ModelOptions(**NARROW_MODELS[0], head=head, head_options=SMALL)
    model = build_classifier(options, THREE).eval()
    features = model.backbone.forward_features(torch.rand(2, 3, 96, 64))
    assert model.head.attention(features, None).shape == (2, 3, 3, 2)


def test_given_embeddings_are_fixed_and_learned_ones_are_trained():
    vectors = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    given = {"source": "glove", "file": "gone.txt", "dimension": 5}
    options = {"backbone": "test_resnet", "head": "transformer_encoder", "head_options": SMALL}
    context = label_context(3, vectors.copy())
    model = build_classifier(ModelOptions(**options, embeddings=given), context)
    rows = model.head.embeddings.weight
    assert np.array_equal(rows.numpy(), vectors) and not rows.requires_grad
    context.embeddings.vectors[:] = 0
    assert rows.abs().min() > 0  # a copy
    learned = build_classifier(ModelOptions(**options, embeddings={"dimension": 7}), context)
    assert learned.head.embeddings.weight.shape == (3, 7)
    assert learned.head.embeddings.weight.requires_grad


def test_head_of_some_labels_gets_their_embeddings():
    vectors = np.arange(15, dtype=np.float32).reshape(3, 5)
    context = label_context(3, vectors).subset(LabelSpace(("label 2", "label 0")))
    options = ModelOptions(
        backbone="test_resnet",
        head="transformer_encoder",
        head_options=SMALL,
        embeddings={"source": "glove", "file": "gone.txt", "dimension": 5},
    )
    rows = build_classifier(options, context).head.embeddings.weight
    assert np.array_equal(rows.numpy(), vectors[[2, 0]])


@pytest.mark.parametrize("vectors", [None, np.zeros((3, 4), np.float32)])
def test_embeddings_of_another_shape_are_refused(vectors):
    options = ModelOptions(
        backbone="test_resnet",
        head="transformer_encoder",
        head_options=SMALL,
        embeddings={"source": "spectral", "dimension": 5},
    )
    with pytest.raises(ParameterError) as caught:
        build_classifier(options, label_context(3, vectors, "spectral"))
    assert caught.value.fields == {"parameter": "model.embeddings.source"}


def test_head_without_embeddings_refuses_them():
    options = ModelOptions(backbone="test_resnet", embeddings=GLOVE)
    with pytest.raises(ParameterError, match="'linear'") as caught:
        build_classifier(options, THREE)
    assert caught.value.fields == {"parameter": "model.embeddings.source"}


def test_heads_on_feature_maps_refuse_a_backbone_without_them():
    options = ModelOptions(backbone="test_vit", head="query_decoder", head_options=SMALL)
    model = build_classifier(options, THREE)
    with pytest.raises(ParameterError):
        model(torch.zeros(2, 3, 160, 160))


def test_random_weights_cannot_be_frozen():
    with pytest.raises(ValueError, match="frozen"):
        ModelOptions(backbone="test_resnet", frozen=["conv1"])


def test_part_to_freeze_that_does_not_exist_is_named():
    options = ModelOptions(backbone="test_resnet", weights="pretrained", frozen=["layer9"])
    with pytest.raises(ParameterError, match="layer1") as caught:
        build_classifier(options, THREE, load_weights=False)
    assert caught.value.fields == {"parameter": "model.frozen", "value": "layer9"}

import pytest
import torch
from captum.attr import LayerGradCam, LayerGradientXActivation
from torch import nn

from mlic.explain.activation import attention_maps, class_activation
from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.models.classifier import build_classifier
from mlic.models.options import ModelOptions

TINY = {"channels": [8, 8, 16, 16], "stem_width": 8}


def model_of(backbone="resnet10t", options=TINY, num_labels=5):
    torch.manual_seed(0)
    chosen = ModelOptions(backbone=backbone, backbone_options=options)
    context = LabelContext(LabelSpace(tuple("abcdefgh"[:num_labels])))
    return build_classifier(chosen, context).eval().requires_grad_(False)


@pytest.fixture
def images():
    return torch.randn(3, 3, 96, 96, generator=torch.Generator().manual_seed(1))


WHICH = torch.tensor([0, 0, 1, 2, 2, 2])
COLUMNS = torch.tensor([4, 1, 1, 0, 3, 2])


def test_last_stage_gives_the_class_activation_map(images):
    """Zhou et al. (2016), equation 2: features weighted by the classifier's row of the label."""
    model = model_of()
    maps = class_activation(model, images, WHICH, COLUMNS)
    features = model.backbone.forward_features(images)
    expected = torch.einsum("bfhw,cf->bchw", features, model.head.linear.weight)
    torch.testing.assert_close(maps, expected[WHICH, COLUMNS] / maps[0].numel())
    logits = maps.sum(dim=(1, 2)) + model.head.linear.bias[COLUMNS]
    torch.testing.assert_close(logits, model(images)[WHICH, COLUMNS])


@pytest.mark.parametrize(("min_cells", "side"), [(1, 3), (3, 3), (4, 6), (6, 6), (7, 12), (99, 48)])
def test_earlier_stages_give_finer_maps(images, min_cells, side):
    assert class_activation(model_of(), images, WHICH, COLUMNS, min_cells).shape == (6, side, side)


class TestCaptum:
    """Agreement with an independent implementation, one pair at a time."""

    def test_last_stage_agrees_with_grad_cam(self, images):
        """With a linear head on mean-pooled features, Grad-CAM and HiResCAM are equal."""
        model = model_of()
        oracle = LayerGradCam(model, model.backbone.layer4)
        maps = class_activation(model, images, WHICH, COLUMNS)
        for found, row, column in zip(maps, WHICH, COLUMNS, strict=True):
            expected = oracle.attribute(images[row : row + 1].requires_grad_(), int(column))
            torch.testing.assert_close(found, expected[0, 0].detach())

    def test_earlier_stage_agrees_with_gradient_times_activation(self, images):
        model = model_of()
        oracle = LayerGradientXActivation(model, model.backbone.layer2)
        maps = class_activation(model, images, WHICH, COLUMNS, 12)
        for found, row, column in zip(maps, WHICH, COLUMNS, strict=True):
            expected = oracle.attribute(images[row : row + 1].requires_grad_(), int(column))
            torch.testing.assert_close(found, expected.sum(dim=1)[0].detach())


@pytest.mark.parametrize("backbone", ["test_convnext", "test_efficientnet", "test_resnet"])
def test_backbones_of_other_families_are_supported(images, backbone):
    assert class_activation(model_of(backbone, {}), images, WHICH, COLUMNS).shape == (6, 3, 3)


def test_channels_may_be_the_last_dimension(images):
    """As in Swin transformers."""
    first, last = model_of(), model_of()

    class ChannelsLast(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, x):
            return self.module(x).permute(0, 2, 3, 1)

    last.backbone.layer4 = ChannelsLast(last.backbone.layer4)
    pool = last.backbone.forward_head
    last.backbone.forward_head = lambda x, pre_logits: pool(x.permute(0, 3, 1, 2), pre_logits)
    torch.testing.assert_close(
        class_activation(last, images, WHICH, COLUMNS),
        class_activation(first, images, WHICH, COLUMNS),
    )


def test_tokens_without_a_position_have_no_map():
    images = torch.zeros(2, 3, 160, 160)
    pair = torch.tensor([0])
    assert class_activation(model_of("test_vit", {}), images, pair, pair) is None


def test_attention_maps_are_the_attention_of_the_head(images):
    class Attending(nn.Module):
        pooled = False

        def attention(self, features, known):
            assert known is None
            return features.softmax(dim=1)[:, :5]

    model = model_of()
    model.head = Attending()
    maps = attention_maps(model, images, WHICH, COLUMNS)
    features = model.backbone.forward_features(images).softmax(dim=1)
    torch.testing.assert_close(maps, features[WHICH, COLUMNS])

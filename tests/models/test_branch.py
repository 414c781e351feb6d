"""Trunks and branches: of any family of backbones, and without loss to what is pretrained."""

import copy

import pytest
import torch

from mlic.errors import ParameterError
from mlic.models.branch import Residual, Trunk, UpperModel
from mlic.models.classifier import build_classifier, build_classifiers
from mlic.models.options import BranchedModelOptions, ModelOptions

IMAGES = torch.rand(2, 3, 64, 64)


@pytest.mark.parametrize(
    "backbone", ["test_vit", "test_efficientnet", "test_resnet", "test_convnext"]
)
def test_any_family_can_be_cut(backbone):
    options = BranchedModelOptions(backbone=backbone, branch={"after": -2, "width": 4})
    model = build_classifier(options, 3)
    size = 160 if backbone == "test_vit" else 64
    assert model(torch.rand(2, 3, size, size)).shape == (2, 3)
    whole = build_classifier(ModelOptions(backbone=backbone), 3)
    assert len(list(model.backbone.trunk.parameters())) < len(list(whole.backbone.parameters()))


@pytest.mark.parametrize(
    "backbone",
    ["test_resnet", "test_convnext", "mobilenetv2_035", "mobilenetv3_small_050"],
)
def test_a_new_branch_on_a_whole_backbone_changes_nothing(backbone):
    """Pooling, projection and norms of the backbone's own head included."""
    branched = build_classifier(BranchedModelOptions(backbone=backbone, branch={}), 3).eval()
    plain = build_classifier(ModelOptions(backbone=backbone), 3).eval()
    plain.backbone.load_state_dict(branched.backbone.trunk.model.state_dict())
    plain.head.load_state_dict(branched.head.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(branched(IMAGES), plain(IMAGES), rtol=0, atol=0)
    assert branched.normalisation == plain.normalisation


def test_a_residual_branch_learns_and_is_not_linear():
    branch = Residual(6, 3)
    maps = torch.randn(4, 6, 5, 5)
    branch(maps).square().sum().backward()
    last = branch.change[-1].bn.weight
    assert last.grad.abs().max() > 0
    with torch.no_grad():
        last.fill_(1)
        branch.eval()
        bent = branch(2 * maps) - 2 * branch(maps) + branch(0 * maps)  # 0 for any affine map
    assert bent.abs().max() > 1e-2


def test_a_backbone_that_ends_in_tokens_is_told():
    model = build_classifier(BranchedModelOptions(backbone="test_vit", branch={}), 3)
    with pytest.raises(ParameterError, match=r"after=-1: .* are no maps: set it to -2"):
        model(torch.rand(1, 3, 160, 160))


@pytest.mark.parametrize("after", [-1, -2])
def test_classifiers_on_one_trunk_are_classifiers(after):
    options = BranchedModelOptions(backbone="test_resnet", branch={"after": after, "width": 4})
    model = build_classifiers(options, [2, 3]).eval()
    one = build_classifier(options, 3).eval()
    one.backbone.trunk.load_state_dict(model.trunk.state_dict())
    one.backbone.branch.load_state_dict(model.uppers[1].branch.state_dict())
    one.head.load_state_dict(model.uppers[1].head.state_dict())
    with torch.no_grad():
        logits = model(IMAGES)
        assert logits.shape == (2, 5)
        torch.testing.assert_close(logits[:, 2:], one(IMAGES))
    assert model.normalisation == one.normalisation


def test_a_copy_pools_with_its_own_trunk():
    """As the average of a jointly trained model does."""
    options = BranchedModelOptions(backbone="mobilenetv3_small_050", branch={})
    model = build_classifiers(options, [2, 2])
    twin = copy.deepcopy(model)
    assert {id(upper.pool.__self__) for upper in twin.uppers} == {id(twin.trunk)}
    assert isinstance(twin.trunk, Trunk) and isinstance(twin.uppers[0], UpperModel)
    names = [name for name in model.state_dict() if "conv_head" in name]
    assert names and all(name.startswith("trunk.") for name in names)  # it is there once

"""Trunks and branches, for any family of backbones."""

import copy

import pytest
import torch

from mlic.errors import ParameterError
from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.models.branch import BranchHead
from mlic.models.classifier import build_classifier, build_classifiers
from mlic.models.options import BranchedModelOptions, ModelOptions
from mlic.models.trunk import ResidualBranch, Trunk

IMAGES = torch.rand(2, 3, 64, 64)
THREE = LabelContext(LabelSpace(("a", "b", "c")))
TWO = THREE.subset(LabelSpace(("a", "b")))


@pytest.mark.parametrize(
    "backbone", ["test_vit", "test_efficientnet", "test_resnet", "test_convnext"]
)
def test_backbones_of_any_family_can_be_cut(backbone):
    options = BranchedModelOptions(backbone=backbone, branch={"after": -2, "width": 4})
    model = build_classifier(options, THREE)
    size = 160 if backbone == "test_vit" else 64
    assert model(torch.rand(2, 3, size, size)).shape == (2, 3)
    whole = build_classifier(ModelOptions(backbone=backbone), THREE)
    assert len(list(model.backbone.trunk.parameters())) < len(list(whole.backbone.parameters()))


@pytest.mark.parametrize(
    "backbone",
    ["test_resnet", "test_convnext", "mobilenetv2_035", "mobilenetv3_small_050"],
)
def test_new_branch_on_a_whole_backbone_changes_no_logit(backbone):
    """The backbone's own pooling, projection and norms are applied as without a branch."""
    branched = build_classifier(BranchedModelOptions(backbone=backbone, branch={}), THREE).eval()
    plain = build_classifier(ModelOptions(backbone=backbone), THREE).eval()
    plain.backbone.load_state_dict(branched.backbone.trunk.model.state_dict())
    plain.head.load_state_dict(branched.head.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(branched(IMAGES), plain(IMAGES), rtol=0, atol=0)
    assert branched.normalisation == plain.normalisation


def test_residual_branch_learns_and_is_not_linear():
    branch = ResidualBranch(6, 3)
    maps = torch.randn(4, 6, 5, 5)
    branch(maps).square().sum().backward()
    last = branch.change[-1].bn.weight
    assert last.grad.abs().max() > 0
    with torch.no_grad():
        last.fill_(1)
        branch.eval()
        curvature = branch(2 * maps) - 2 * branch(maps) + branch(0 * maps)  # 0 if affine
    assert curvature.abs().max() > 1e-2


def test_whole_backbone_that_ends_in_tokens_is_refused():
    model = build_classifier(BranchedModelOptions(backbone="test_vit", branch={}), THREE)
    with pytest.raises(ParameterError) as caught:
        model(torch.rand(1, 3, 160, 160))
    assert caught.value.fields["parameter"] == "teachers.branch.after"


@pytest.mark.parametrize("after", [-1, -2])
def test_classifiers_on_one_trunk_equal_separate_classifiers(after):
    options = BranchedModelOptions(backbone="test_resnet", branch={"after": after, "width": 4})
    model = build_classifiers(options, [TWO, THREE]).eval()
    one = build_classifier(options, THREE).eval()
    one.backbone.trunk.load_state_dict(model.trunk.state_dict())
    one.backbone.branch.load_state_dict(model.branch_heads[1].branch.state_dict())
    one.head.load_state_dict(model.branch_heads[1].head.state_dict())
    with torch.no_grad():
        logits = model(IMAGES)
        assert logits.shape == (2, 5)
        torch.testing.assert_close(logits[:, 2:], one(IMAGES))
    assert model.normalisation == one.normalisation


def test_copy_of_the_model_pools_with_its_own_trunk():
    """The average of jointly trained weights is such a copy."""
    options = BranchedModelOptions(backbone="mobilenetv3_small_050", branch={})
    model = build_classifiers(options, [TWO, TWO])
    twin = copy.deepcopy(model)
    assert {id(head.pool.__self__) for head in twin.branch_heads} == {id(twin.trunk)}
    assert isinstance(twin.trunk, Trunk) and isinstance(twin.branch_heads[0], BranchHead)
    names = [name for name in model.state_dict() if "conv_head" in name]
    assert names and all(name.startswith("trunk.") for name in names)  # saved once


@pytest.mark.parametrize("after", [-9, 7])
def test_stage_that_does_not_exist_is_refused(after):
    options = BranchedModelOptions(backbone="test_resnet", branch={"after": after})
    with pytest.raises(ParameterError) as caught:
        build_classifier(options, THREE)
    assert caught.value.fields == {"parameter": "teachers.branch.after", "value": after}


def test_known_states_reach_the_head_of_their_own_labels():
    options = BranchedModelOptions(backbone="test_resnet", branch={})
    model = build_classifiers(options, [TWO, THREE])
    seen = []
    for branch_head in model.branch_heads:
        branch_head.head.register_forward_pre_hook(lambda _, args: seen.append(args[1]))
    known = torch.tensor([[0, 1, -1, 1, 0]] * 2)
    model(IMAGES, known)
    assert [part.tolist() for part in seen] == [[[0, 1]] * 2, [[-1, 1, 0]] * 2]

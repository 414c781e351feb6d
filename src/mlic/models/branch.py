"""A branch of its own on lower layers that it shares: what jointly trained teachers are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mlic.errors import ParameterError

if TYPE_CHECKING:
    from mlic.models.classifier import MultiLabelClassifier
    from mlic.models.options import BranchOptions

__all__ = ["BranchedBackbone", "UpperModel", "grow_branch"]


class BranchedBackbone(nn.Module):
    """The lower stages of a timm backbone and a branch upon them, with timm's own methods.

    Parameters
    ----------
    trunk
        A timm backbone without its upper stages.
    stage
        Number of its last stage in timm's ``feature_info``.
    branch
        From feature maps of that stage to feature maps.
    num_features
        Channels of the latter.
    """

    def __init__(self, trunk: nn.Module, stage: int, branch: nn.Module, num_features: int) -> None:
        super().__init__()
        self.trunk, self.branch, self.stage = trunk, branch, stage
        self.head_hidden_size = num_features
        self.pretrained_cfg = trunk.pretrained_cfg
        stages: Any = trunk.feature_info
        self.feature_info = [
            {**about, "module": f"trunk.{about['module']}"} for about in stages[: stage + 1]
        ]

    def lower(self, images: torch.Tensor) -> torch.Tensor:
        """Feature maps of the trunk; shape (B, channels, h, w)."""
        take: Any = self.trunk.forward_intermediates
        (features,) = take(images, indices=[self.stage], intermediates_only=True, stop_early=True)
        return features  # type: ignore[no-any-return]

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        """Feature maps of the branch; shape (B, head_hidden_size, h', w')."""
        maps: torch.Tensor = self.branch(self.lower(images))
        return maps

    def forward_head(self, features: torch.Tensor, pre_logits: bool = True) -> torch.Tensor:
        """Mean over places; shape (B, head_hidden_size)."""
        return features.mean(dim=(2, 3))


class UpperModel(nn.Module):
    """Branch and head of a branched classifier: from the trunk's feature maps to logits.

    Its parameters are those of the classifier, not copies.
    """

    def __init__(self, model: MultiLabelClassifier) -> None:
        super().__init__()
        backbone = model.backbone
        assert isinstance(backbone, BranchedBackbone)
        self.branch, self.head = backbone.branch, model.head
        self._pool = backbone.forward_head

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Logits of shape (B, C)."""
        maps = self.branch(features)
        logits: torch.Tensor = self.head(self._pool(maps) if self.head.pooled else maps, None)
        return logits


def grow_branch(backbone: Any, options: BranchOptions) -> BranchedBackbone:
    """Cut a timm backbone after a stage and put a new branch on what is left.

    The branch is a bottleneck (He et al., 2016, without its shortcut): a narrowing 1×1 convolution,
    a 3×3 one that halves the sides, and a widening 1×1 one, each with batch norm and ReLU. It is
    not linear, so that several on one trunk are not one head cut in pieces.

    Parameters
    ----------
    backbone
        A timm model without classifier; it is cut in place.
    options
        Where and how wide.

    Raises
    ------
    ParameterError
        If the backbone has no such stage or cannot be cut.
    """
    from timm.layers import ConvNormAct

    stages = backbone.feature_info
    stage = options.after + len(stages) if options.after < 0 else options.after
    if not 0 <= stage < len(stages) or not hasattr(backbone, "prune_intermediate_layers"):
        raise ParameterError(
            f"teachers.branch.after={options.after}: this backbone cannot be cut there; timm tells "
            f"{len(stages)} stages of it: choose one of them, or teachers.mode=separate"
        )
    backbone.prune_intermediate_layers([stage], prune_head=True)
    width, channels = options.width, stages[stage]["num_chs"]
    branch = nn.Sequential(
        ConvNormAct(channels, width, 1),
        ConvNormAct(width, width, 3, stride=2),
        ConvNormAct(width, 4 * width, 1),
    )
    return BranchedBackbone(backbone, stage, branch, 4 * width)

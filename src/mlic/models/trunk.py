"""Lower layers that several classifiers share, and the branches that are built on them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from mlic.errors import ParameterError
from mlic.models.options import BranchOptions
from mlic.models.torchvision_shim import allow_torchvision_without_cuda

allow_torchvision_without_cuda()  # before timm imports torchvision

from timm.layers import ConvNormAct  # noqa: E402

__all__ = ["ResidualBranch", "Trunk"]


class Trunk(nn.Module):
    """A timm backbone up to the layer after which branches begin.

    The given backbone has no classifier. It is cut in place after the stage ``options.after``; with
    ``options.after = -1`` the whole backbone is shared. A backbone that has no such stage or cannot
    be cut is a `ParameterError`.
    """

    def __init__(self, model: Any, options: BranchOptions) -> None:
        super().__init__()
        self.model = model
        self.is_whole = options.after == -1
        stages = model.feature_info
        if self.is_whole:
            self.channels = model.num_features
        else:
            self.stage = _cut(model, options.after)
            stages = stages[: self.stage + 1]
            self.channels = stages[-1]["num_chs"]
        # narrow, so that all branches together cost little beside the trunk
        self.width = options.width or max(self.channels // 32, 16)
        # a bottleneck widens by 4, as in ResNet
        self.num_features = self.channels if self.is_whole else 4 * self.width
        self.head_hidden_size = model.head_hidden_size if self.is_whole else self.num_features
        self.feature_info = [{**stage, "module": f"model.{stage['module']}"} for stage in stages]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Compute feature maps of shape (B, channels, h, w); other features: `ParameterError`."""
        if not self.is_whole:
            take = self.model.forward_intermediates
            return take(images, indices=[self.stage], intermediates_only=True, stop_early=True)[0]  # type: ignore[no-any-return]
        # timm does not say whether a backbone ends in maps; transformers end in tokens
        maps: torch.Tensor = self.model.forward_features(images)
        if maps.ndim != 4 or maps.shape[1] != self.channels:
            raise ParameterError(
                f"teachers.branch.after=-1: the last features of this backbone have the shape "
                f"{tuple(maps.shape)} and are no feature maps: set it to -2, or set "
                "teachers.mode=separate",
                parameter="teachers.branch.after",
            )
        return maps

    def make_branch(self) -> nn.Module:
        """Build a new branch, from the trunk's feature maps to feature maps.

        On a trunk that was cut, a branch is a bottleneck (He et al., arXiv 1512.03385, without the
        shortcut): a 1×1 convolution that narrows, a 3×3 convolution with stride 2, and a 1×1
        convolution that widens, each with batch norm and ReLU. On a whole backbone it is a
        `ResidualBranch`. Neither is linear, so that several branches on one trunk are not
        equivalent to one linear head.
        """
        if self.is_whole:
            return ResidualBranch(self.channels, self.width)
        return nn.Sequential(
            ConvNormAct(self.channels, self.width, 1),
            ConvNormAct(self.width, self.width, 3, stride=2),
            ConvNormAct(self.width, self.head_hidden_size, 1),
        )

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """Pool a branch's feature maps for a pooled head; shape (B, head_hidden_size).

        A whole backbone pools, and applies its own norms or projections, as without branches.
        """
        # a cut trunk has lost timm's head, and plain averaging has no parameters
        if not self.is_whole:
            return maps.mean(dim=(2, 3))
        pooled: torch.Tensor = self.model.forward_head(maps, pre_logits=True)
        return pooled


def _cut(model: Any, after: int) -> int:
    """Remove everything above a stage; return the stage's number, counted from 0."""
    num_stages = len(model.feature_info)
    stage = after + num_stages if after < 0 else after
    if not 0 <= stage < num_stages or not hasattr(model, "prune_intermediate_layers"):
        raise ParameterError(
            f"teachers.branch.after={after}: this backbone cannot be cut there; timm lists "
            f"{num_stages} stages: choose one of them, -1 for the whole backbone, or "
            "teachers.mode=separate",
            parameter="teachers.branch.after",
            value=after,
        )
    # layers above would have weights that nothing trains, but that every checkpoint holds
    model.prune_intermediate_layers([stage], prune_head=True)
    return stage


class ResidualBranch(nn.Module):
    """A bottleneck with a shortcut that starts as the identity: pretrained features are kept.

    A 1×1 convolution that narrows, a 3×3 convolution and a 1×1 convolution that widens, with batch
    norms (He et al., arXiv 1512.03385). The weight of the last norm starts at 0 (Goyal et al.,
    arXiv 1706.02677). Input and output have `channels` channels, the bottleneck `width`.

    Examples
    --------
    >>> maps = torch.rand(2, 6, 4, 4)
    >>> torch.equal(ResidualBranch(6, 3)(maps), maps)
    True
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        last = ConvNormAct(width, channels, 1, apply_act=False)
        nn.init.zeros_(last.bn.weight)  # at first the branch adds nothing
        self.change = nn.Sequential(
            ConvNormAct(channels, width, 1), ConvNormAct(width, width, 3), last
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Compute maps of the same shape (B, channels, h, w)."""
        changed: torch.Tensor = maps + self.change(maps)
        return changed

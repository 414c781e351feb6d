"""Branches of their own on lower layers that they share: what teachers in one pass are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from mlic.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlic.models.options import BranchOptions

__all__ = [
    "TRUNK",
    "BranchedBackbone",
    "BranchedClassifiers",
    "Residual",
    "Trunk",
    "UpperModel",
    "name_as_upper",
    "name_as_whole",
]

TRUNK = "backbone.trunk."  # how names of shared weights begin in a branched classifier

Weight = TypeVar("Weight")


class Trunk(nn.Module):
    """A timm backbone up to where branches part, and what it takes to grow one there.

    Parameters
    ----------
    model
        A timm backbone without classifier. Unless branches part after its last stage, in which case
        it stays whole, it is cut in place.
    options
        Where branches part, and how wide they are.

    Raises
    ------
    ParameterError
        If the backbone has no such stage or cannot be cut.
    """

    def __init__(self, model: Any, options: BranchOptions) -> None:
        super().__init__()
        self.model = model
        self.whole = options.after == -1
        stages = model.feature_info
        if self.whole:
            self.channels = model.num_features
        else:
            self.stage = self._cut(model, options.after)
            stages = stages[: self.stage + 1]
            self.channels = stages[-1]["num_chs"]
        self.width = options.width or max(self.channels // 32, 16)
        self.head_hidden_size = model.head_hidden_size if self.whole else 4 * self.width
        self.feature_info = [{**about, "module": f"model.{about['module']}"} for about in stages]

    @staticmethod
    def _cut(model: Any, after: int) -> int:
        number = len(model.feature_info)
        stage = after + number if after < 0 else after
        if not 0 <= stage < number or not hasattr(model, "prune_intermediate_layers"):
            raise ParameterError(
                f"teachers.branch.after={after}: this backbone cannot be cut there; timm tells "
                f"{number} stages of it: choose one of them, -1 for the whole of it, or "
                "teachers.mode=separate"
            )
        model.prune_intermediate_layers([stage], prune_head=True)
        return stage

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Feature maps; shape (B, channels, h, w).

        Raises
        ------
        ParameterError
            If the whole backbone ends in something else.
        """
        if not self.whole:
            take = self.model.forward_intermediates
            return take(images, indices=[self.stage], intermediates_only=True, stop_early=True)[0]  # type: ignore[no-any-return]
        maps: torch.Tensor = self.model.forward_features(images)
        if maps.ndim != 4 or maps.shape[1] != self.channels:
            raise ParameterError(
                f"teachers.branch.after=-1: the last features of this backbone, of shape "
                f"{tuple(maps.shape)}, are no maps: set it to -2, or teachers.mode=separate"
            )
        return maps

    def grow(self) -> nn.Module:
        """Make a new branch: from feature maps of the trunk to maps of its own.

        On a trunk cut short it is a bottleneck (He et al., 2016, without its shortcut): a narrowing
        1×1 convolution, a 3×3 one that halves the sides, and a widening 1×1 one, each with batch
        norm and ReLU. On a whole backbone it is a `Residual` one. Neither is linear, so that
        several on one trunk are not one head cut in pieces.
        """
        from timm.layers import ConvNormAct

        if self.whole:
            return Residual(self.channels, self.width)
        return nn.Sequential(
            ConvNormAct(self.channels, self.width, 1),
            ConvNormAct(self.width, self.width, 3, stride=2),
            ConvNormAct(self.width, self.head_hidden_size, 1),
        )

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """What a pooled head sees of a branch's maps; shape (B, head_hidden_size).

        A whole backbone pools, and norms or projects, as it does without branches.
        """
        if not self.whole:
            return maps.mean(dim=(2, 3))
        pooled: torch.Tensor = self.model.forward_head(maps, pre_logits=True)
        return pooled


class Residual(nn.Module):
    """A bottleneck with a shortcut that starts as the identity, so that features are kept.

    A narrowing 1×1 convolution, a 3×3 one and a widening 1×1 one with batch norms (He et al.,
    arXiv 1512.03385), the last of which starts with weight 0 (Goyal et al., arXiv 1706.02677).

    Parameters
    ----------
    channels
        Of the maps that come and go.
    width
        Of the bottleneck.

    Examples
    --------
    >>> maps = torch.rand(2, 6, 4, 4)
    >>> torch.equal(Residual(6, 3)(maps), maps)
    True
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        from timm.layers import ConvNormAct

        last = ConvNormAct(width, channels, 1, apply_act=False)
        nn.init.zeros_(last.bn.weight)
        self.change = nn.Sequential(
            ConvNormAct(channels, width, 1), ConvNormAct(width, width, 3), last
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps of the same shape (B, channels, h, w)."""
        changed: torch.Tensor = maps + self.change(maps)
        return changed


class BranchedBackbone(nn.Module):
    """A trunk and one branch upon it, with timm's own methods.

    Parameters
    ----------
    trunk
        The lower layers; a branch is grown on them.
    """

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk, self.branch = trunk, trunk.grow()
        self.head_hidden_size = trunk.head_hidden_size
        self.pretrained_cfg = trunk.model.pretrained_cfg
        self.feature_info = [
            {**about, "module": f"trunk.{about['module']}"} for about in trunk.feature_info
        ]

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        """Feature maps of the branch; shape (B, C, h, w)."""
        maps: torch.Tensor = self.branch(self.trunk(images))
        return maps

    def forward_head(self, features: torch.Tensor, pre_logits: bool = True) -> torch.Tensor:
        """Pooled features; shape (B, head_hidden_size)."""
        return self.trunk.pool(features)


class UpperModel(nn.Module):
    """Branch and head of a branched classifier: from the trunk's feature maps to logits.

    Parameters
    ----------
    branch
        What `Trunk.grow` gave.
    head
        One of `mlic.models.heads`.
    pool
        From the branch's maps to what a pooled head sees; its parameters are not this model's.
    """

    def __init__(
        self,
        branch: nn.Module,
        head: nn.Module,
        pool: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        super().__init__()
        self.branch, self.head, self.pool = branch, head, pool

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Logits of shape (B, C)."""
        maps = self.branch(features)
        logits: torch.Tensor = self.head(self.pool(maps) if self.head.pooled else maps, None)
        return logits


def name_as_whole(own: Mapping[str, Weight]) -> dict[str, Weight]:
    """Weights of an `UpperModel` by their names in a whole branched classifier.

    Examples
    --------
    >>> name_as_whole({"branch.0.bias": 1, "head.linear.bias": 2})
    {'backbone.branch.0.bias': 1, 'head.linear.bias': 2}
    """
    return {
        f"backbone.{name}" if name.startswith("branch.") else name: value
        for name, value in own.items()
    }


def name_as_upper(whole: Mapping[str, Weight]) -> dict[str, Weight]:
    """Turn `name_as_whole` back; the trunk's weights are left out.

    Examples
    --------
    >>> name_as_upper({"backbone.trunk.model.fc": 0, "backbone.branch.0.bias": 1, "head.bias": 2})
    {'branch.0.bias': 1, 'head.bias': 2}
    """
    return {
        name.removeprefix("backbone."): value
        for name, value in whole.items()
        if not name.startswith(TRUNK)
    }


class BranchedClassifiers(nn.Module):
    """Several classifiers of labels of their own on one trunk, as one model.

    Parameters
    ----------
    trunk
        What they share.
    uppers
        What each has of its own.
    """

    def __init__(self, trunk: Trunk, uppers: Sequence[UpperModel]) -> None:
        super().__init__()
        self.trunk, self.uppers = trunk, nn.ModuleList(uppers)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of all, side by side; shape (B, sum of their labels)."""
        features = self.trunk(images)
        return torch.cat([upper(features) for upper in self.uppers], dim=1)

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation, a channel each, of the images that the trunk expects."""
        config = self.trunk.model.pretrained_cfg
        return tuple(config["mean"]), tuple(config["std"])

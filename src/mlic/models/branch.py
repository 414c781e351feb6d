"""Classifiers that share a trunk: one branch and one head for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import nn

from mlic.models.heads.base import Head
from mlic.models.trunk import Trunk

__all__ = [
    "BranchHead",
    "BranchedBackbone",
    "BranchedClassifiers",
    "merge_weights",
    "split_weights",
]

_TRUNK = "backbone.trunk."  # prefix of the shared weights in a branched classifier

Weight = TypeVar("Weight")


class BranchedBackbone(nn.Module):
    """A trunk with a new branch on it, with the methods of a timm backbone."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk, self.branch = trunk, trunk.make_branch()
        self.num_features, self.head_hidden_size = trunk.num_features, trunk.head_hidden_size
        self.pretrained_cfg = trunk.model.pretrained_cfg
        # timm's record of stages, with the names that they have in this module
        self.feature_info = [
            {**stage, "module": f"trunk.{stage['module']}"} for stage in trunk.feature_info
        ]

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        """Compute the branch's feature maps; shape (B, F, h, w)."""
        maps: torch.Tensor = self.branch(self.trunk(images))
        return maps

    def forward_head(self, features: torch.Tensor, pre_logits: bool = True) -> torch.Tensor:
        """Pool features; shape (B, head_hidden_size)."""
        return self.trunk.pool(features)


class BranchHead(nn.Module):
    """Branch and head of a branched classifier: from the trunk's feature maps to logits.

    The branch is made by `Trunk.make_branch`. `pool` pools its feature maps for a pooled head.
    """

    def __init__(
        self, branch: nn.Module, head: Head, pool: Callable[[torch.Tensor], torch.Tensor]
    ) -> None:
        super().__init__()
        # A bound method is no submodule: parameters of the pooling belong to the trunk alone.
        self.branch, self.head, self.pool = branch, head, pool

    def forward(self, features: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        """Compute logits of shape (B, C) from trunk features and known states, as a `Head` does."""
        maps = self.branch(features)
        logits: torch.Tensor = self.head(self.pool(maps) if self.head.pooled else maps, known)
        return logits


class BranchedClassifiers(nn.Module):
    """Several classifiers, each with its own labels, on one trunk, as one model.

    `branch_heads` and `sizes` hold branch and head, and the number of labels, of each classifier.
    """

    def __init__(
        self, trunk: Trunk, branch_heads: Sequence[BranchHead], sizes: Sequence[int]
    ) -> None:
        super().__init__()
        self.trunk, self.branch_heads = trunk, nn.ModuleList(branch_heads)
        self.sizes = list(sizes)

    def forward(self, images: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        """Compute the logits of all classifiers, side by side; shape (B, C), that of `known`."""
        features = self.trunk(images)
        parts = [None] * len(self.sizes) if known is None else torch.split(known, self.sizes, dim=1)
        logits = [head(features, part) for head, part in zip(self.branch_heads, parts, strict=True)]
        return torch.cat(logits, dim=1)

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel that the trunk expects."""
        config = self.trunk.model.pretrained_cfg
        return tuple(config["mean"]), tuple(config["std"])


def split_weights(weights: Mapping[str, Weight]) -> tuple[dict[str, Weight], dict[str, Weight]]:
    """Split the weights of a branched classifier into those of its trunk and of its `BranchHead`.

    Examples
    --------
    >>> split_weights({"backbone.trunk.model.fc": 0, "backbone.branch.0.bias": 1, "head.bias": 2})
    ({'model.fc': 0}, {'branch.0.bias': 1, 'head.bias': 2})
    """
    trunk = {n.removeprefix(_TRUNK): value for n, value in weights.items() if n.startswith(_TRUNK)}
    own = {
        name.removeprefix("backbone."): value
        for name, value in weights.items()
        if not name.startswith(_TRUNK)
    }
    return trunk, own


def merge_weights(
    trunk: Mapping[str, Weight], branch_head: Mapping[str, Weight]
) -> dict[str, Weight]:
    """Name the weights of a trunk and a `BranchHead` as in one branched classifier.

    The inverse of `split_weights`.

    Examples
    --------
    >>> merge_weights({"model.fc": 0}, {"branch.0.bias": 1, "head.bias": 2})
    {'backbone.trunk.model.fc': 0, 'backbone.branch.0.bias': 1, 'head.bias': 2}
    """
    shared = {f"{_TRUNK}{name}": value for name, value in trunk.items()}
    own = {
        f"backbone.{name}" if name.startswith("branch.") else name: value
        for name, value in branch_head.items()
    }
    return {**shared, **own}

"""Maps of a batch: class activation where the head pools, attention where the head attends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

__all__ = ["attention_maps", "class_activation"]


def attention_maps(
    model: Any, images: torch.Tensor, which: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """How much each label's token attends to each place.

    Parameters
    ----------
    model
        A classifier whose head has ``attention(features, known) -> (B, C, h, w)``.
    images
        Normalised images; shape (B, 3, H, W).
    which, columns
        Image in the batch and label of each pair; shape (n,).

    Returns
    -------
    torch.Tensor
        Shape (n, h, w).
    """
    with torch.no_grad():
        attention: torch.Tensor = model.head.attention(
            model.backbone.forward_features(images), None
        )
    return attention[which, columns]


def class_activation(
    model: Any,
    images: torch.Tensor,
    which: torch.Tensor,
    columns: torch.Tensor,
    min_cells: int = 1,
) -> torch.Tensor | None:
    """Evidence for each pair's label, place by place.

    Activations of a stage of the backbone, times the gradient of the label's logit by them, summed
    over channels (HiResCAM; Draelos and Carin, 2020). At the last stage, with a linear head on
    mean-pooled features, that is the class-activation map of Zhou et al. (2016), as Grad-CAM is,
    divided by the number of places. At earlier stages Grad-CAM would average gradients over places
    and so tell labels of one image apart less well.

    Parameters
    ----------
    model
        A classifier whose backbone has timm's ``feature_info``; in evaluation mode.
    images
        Normalised images; shape (B, 3, H, W).
    which, columns
        Image in the batch and label of each pair; shape (n,).
    min_cells
        The deepest stage with as many cells a side is taken, or the finest if none has.

    Returns
    -------
    torch.Tensor or None
        Shape (n, h, w); None where the stage gives tokens instead of a map.
    """
    stage, width = _choose_stage(model.backbone, images.shape[-1], min_cells)
    with torch.enable_grad(), _opened(stage) as kept:
        logits = model(images)
    features = kept[0]
    if features.dim() != 4:
        return None
    axis = 1 if features.shape[1] == width else 3  # where the backbone keeps its channels
    activations = features.detach().movedim(axis, 1).float()
    maps = activations.new_empty(len(which), *activations.shape[2:])
    for turn in _turns(which):
        score = logits[which[turn], columns[turn]].sum()
        (slope,) = torch.autograd.grad(score, features, retain_graph=True)
        evidence = (slope.movedim(axis, 1).float() * activations).sum(dim=1)
        maps[turn] = evidence[which[turn]]
    return maps


def _turns(which: torch.Tensor) -> Iterator[torch.Tensor]:
    """Pairs in groups with each image once at most: gradients of a group do not mix."""
    same = which[:, None] == which[None, :]
    rank = torch.tril(same, diagonal=-1).sum(dim=1)
    for turn in range(int(rank.max()) + 1):
        yield torch.nonzero(rank == turn).squeeze(1)


def _choose_stage(backbone: Any, side: int, min_cells: int) -> tuple[nn.Module, int]:
    """Module and channels of the deepest stage that is fine enough, else of the finest."""
    stages = [stage for stage in backbone.feature_info if stage["module"]]
    fine = [stage for stage in stages if side / stage["reduction"] >= min_cells]
    chosen = fine[-1] if fine else stages[0]
    return backbone.get_submodule(chosen["module"]), chosen["num_chs"]


@contextmanager
def _opened(stage: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Keep what a stage puts out, and let gradients of what follows flow to it."""
    kept: list[torch.Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[0].clone()  # a leaf must not be changed in place, and what follows may do so

    handle = stage.register_forward_hook(keep)
    try:
        yield kept
    finally:
        handle.remove()

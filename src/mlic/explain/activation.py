"""Class maps of one batch: class activation for pooling heads, attention for attending heads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

__all__ = ["attention_maps", "class_activation"]


def attention_maps(
    model: Any, images: torch.Tensor, which: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """Compute how much the token of each label attends to each position; shape (n, h, w).

    The head must have a method ``attention(features, known) -> (B, C, h, w)``. The other parameters
    are those of `class_activation`.
    """
    with torch.no_grad():
        features = model.backbone.forward_features(images)
        attention: torch.Tensor = model.head.attention(features, None)
    return attention[which, columns]


def class_activation(
    model: Any,
    images: torch.Tensor,
    which: torch.Tensor,
    columns: torch.Tensor,
    min_cells: int = 1,
) -> torch.Tensor | None:
    """Compute the evidence for the label of each pair at each position (HiResCAM).

    The map is the activation of one stage of the backbone times the gradient of the label's logit
    with respect to it, summed over channels (Draelos and Carin, 2020, "Use HiResCAM instead of
    Grad-CAM", arXiv:2011.08891). At the last stage, with a linear head on mean-pooled features, it
    equals the class activation map of Zhou et al. (2016) divided by the number of positions, and
    equals Grad-CAM without the final rectification. At earlier stages Grad-CAM would average the
    gradients over positions and therefore separate the labels of one image less well.

    Parameters
    ----------
    model
        A classifier whose backbone has timm's ``feature_info``; in evaluation mode.
    images
        Normalised images; shape (B, 3, H, W).
    which, columns
        Index of the image in the batch and column of the label, for each of n pairs; shape (n,).
    min_cells
        Smallest number of cells along a side of the map. The deepest stage that is fine enough is
        used, or the finest stage if none is.

    Returns
    -------
    torch.Tensor or None
        Evidence of each pair, float32; shape (n, h, w). None if the stage outputs tokens instead
        of a feature map.
    """
    stage, width = _choose_stage(model.backbone, images.shape[-1], min_cells)
    # The caller may have disabled gradients, and the parameters do not require any.
    with torch.enable_grad(), _record_output(stage) as recorded:
        logits = model(images)
    features = recorded[0]
    if features.dim() != 4:
        return None
    # Swin transformers keep their channels last, convolutional networks first.
    axis = 1 if features.shape[1] == width else 3
    # Under autocast the features may be half precision, in which the sum over channels is rounded.
    activations = features.detach().movedim(axis, 1).float()
    maps = activations.new_empty(len(which), *activations.shape[2:])
    for turn in _split_pairs(which):
        score = logits[which[turn], columns[turn]].sum()
        # The graph is needed again for the other labels of the same images.
        (gradient,) = torch.autograd.grad(score, features, retain_graph=True)
        evidence = (gradient.movedim(axis, 1).float() * activations).sum(dim=1)
        maps[turn] = evidence[which[turn]]
    return maps


def _split_pairs(which: torch.Tensor) -> Iterator[torch.Tensor]:
    """Group the pairs so that each group has at most one pair of every image.

    The logits of a group can then be summed before one backward pass: images of a batch do not
    influence each other in evaluation mode, so the gradient of each is that of its own pair.
    """
    same = which[:, None] == which[None, :]
    # The number of earlier pairs of the same image is the number of the pair's group.
    rank = torch.tril(same, diagonal=-1).sum(dim=1)
    for turn in range(int(rank.max()) + 1):
        yield torch.nonzero(rank == turn).squeeze(1)


def _choose_stage(backbone: Any, side: int, min_cells: int) -> tuple[nn.Module, int]:
    """Return the module and channel count of the deepest stage that is fine enough."""
    stages = [stage for stage in backbone.feature_info if stage["module"]]
    fine = [stage for stage in stages if side / stage["reduction"] >= min_cells]
    chosen = fine[-1] if fine else stages[0]
    return backbone.get_submodule(chosen["module"]), chosen["num_chs"]


@contextmanager
def _record_output(stage: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Record the output of a stage as a leaf tensor that receives gradients."""
    recorded: list[torch.Tensor] = []

    def record(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        recorded.append(output.detach().requires_grad_())
        # A leaf must not be changed in place, but the following layer may do so: pass on a copy.
        return recorded[0].clone()

    handle = stage.register_forward_hook(record)
    try:
        yield recorded
    finally:
        handle.remove()

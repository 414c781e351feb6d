"""From stored pixels to a normalised batch, on whatever device the pixels are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import affine_grid, grid_sample, interpolate

__all__ = ["render_views", "render_whole"]


def render_views(
    pixels: torch.Tensor,
    boxes: torch.Tensor,
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
) -> torch.Tensor:
    """Crop, resize, mirror and normalise a batch.

    Parameters
    ----------
    pixels
        Stored pictures; shape (B, H, W, 3), uint8.
    boxes
        Left, top, width, height as shares, then 1 for mirrored; shape (B, 5), float32.
    size
        Side of the result, in pixels.
    mean, std
        A channel each, of pixels in [0, 1].

    Returns
    -------
    torch.Tensor
        Shape (B, 3, size, size), float32, channels last in memory: convolutions are faster so.
    """
    left, top, width, height, flip = boxes.unbind(1)
    zero = torch.zeros_like(left)
    across = torch.stack([width * (1 - 2 * flip), zero, 2 * left + width - 1], dim=1)
    down = torch.stack([zero, height, 2 * top + height - 1], dim=1)
    grid = affine_grid(
        torch.stack([across, down], dim=1), [len(pixels), 3, size, size], align_corners=False
    )
    images = _to_planes(pixels)
    views = grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    return _normalise(views, mean, std)


def render_whole(
    pixels: torch.Tensor, size: int, mean: Sequence[float], std: Sequence[float]
) -> torch.Tensor:
    """Resize (if need be) and normalise whole pictures; shapes as in `render_views`."""
    images = _to_planes(pixels)
    if images.shape[-1] != size:
        images = interpolate(
            images, size=(size, size), mode="bilinear", antialias=True, align_corners=False
        )
    return _normalise(images, mean, std)


def _to_planes(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.permute(0, 3, 1, 2).float()


def _normalise(images: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    shift = images.new_tensor(mean).mul_(255).view(1, 3, 1, 1)
    scale = images.new_tensor(std).mul_(255).view(1, 3, 1, 1)
    return ((images - shift) / scale).contiguous(memory_format=torch.channels_last)

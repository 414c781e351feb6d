"""From stored pixels to a normalised batch, on whatever device the pixels are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch.nn.functional import grid_sample, interpolate

__all__ = ["preprocess_views", "preprocess_whole"]


def preprocess_views(
    pixels: torch.Tensor,
    boxes: torch.Tensor,
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
) -> torch.Tensor:
    """Crop, resize, mirror and normalise a batch.

    Images larger than the result are smoothed as they shrink, as `preprocess_whole` does; others,
    whose crops can only grow, are interpolated bilinearly.

    Parameters
    ----------
    pixels
        Stored images; shape (B, H, W, 3), uint8.
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
    if pixels.shape[1] > size:
        return _normalise(_resample(_to_planes(pixels), boxes, size), mean, std)
    return _normalise(_interpolate(_to_planes(pixels), boxes, size), mean, std)


def _interpolate(images: torch.Tensor, boxes: torch.Tensor, size: int) -> torch.Tensor:
    left, top, width, height, flip = boxes.T.unsqueeze(2)
    places = (torch.arange(size, device=images.device) * 2 + 1) / size - 1  # of pixels' centres
    across = places * (width * (1 - 2 * flip)) + (2 * left + width - 1)
    down = places * height + (2 * top + height - 1)
    shape = (len(images), size, size)
    grid = torch.stack([across.unsqueeze(1).expand(shape), down.unsqueeze(2).expand(shape)], dim=3)
    return grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _resample(images: torch.Tensor, boxes: torch.Tensor, size: int) -> torch.Tensor:
    """Crops by a triangle filter that is as wide as the step: columns, then rows.

    ``torch.nn.functional.interpolate`` does so with one box for the whole batch only.
    """
    left, top, width, height, flip = boxes.unbind(1)
    columns = _triangles(left, width, images.shape[-1], size)
    columns = torch.where(flip.view(-1, 1, 1) > 0, columns.flip(1), columns)
    rows = _triangles(top, height, images.shape[-2], size)
    with torch.autocast(images.device.type, enabled=False):  # pixels want all their bits
        narrow = images @ columns.transpose(1, 2).unsqueeze(1)
        return rows.unsqueeze(1) @ narrow


def _triangles(start: torch.Tensor, extent: torch.Tensor, length: int, size: int) -> torch.Tensor:
    """Weights of the pixels of a line in each pixel of the result; shape (B, size, length)."""
    step = (extent * length / size).view(-1, 1, 1)
    number = torch.arange(size, device=start.device).view(1, -1, 1) + 0.5
    centre = start.view(-1, 1, 1) * length + number * step
    pixel = torch.arange(length, device=start.device) + 0.5
    weights = (1 - (pixel - centre).abs() / step.clamp(min=1)).clamp(min=0)
    return weights / weights.sum(dim=2, keepdim=True)


def preprocess_whole(
    pixels: torch.Tensor, size: int, mean: Sequence[float], std: Sequence[float]
) -> torch.Tensor:
    """Resize (if need be) and normalise whole images; shapes as in `preprocess_views`."""
    images = _to_planes(pixels)
    if images.shape[-1] != size:
        images = interpolate(
            images, size=(size, size), mode="bilinear", antialias=True, align_corners=False
        )
    return _normalise(images, mean, std)


def _to_planes(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.permute(0, 3, 1, 2).float()


def _normalise(images: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    shift, scale = (_per_channel(tuple(own), images.device) for own in (mean, std))
    laid = images.contiguous(memory_format=torch.channels_last)
    return laid.sub_(shift).div_(scale)


@cache
def _per_channel(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Of pixels in [0, 255]; kept, because a copy to a GPU waits until it is idle."""
    with torch.inference_mode(False):
        return torch.tensor(values, device=device).mul_(255).view(1, 3, 1, 1)

"""From stored pixels to a normalised batch, on the device of the pixels."""

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

    Images larger than the result are antialiased, as by `preprocess_whole`; crops of other images
    are never reduced, and are interpolated bilinearly.

    Parameters
    ----------
    pixels
        Stored images; shape (B, H, W, 3), uint8.
    boxes
        Left, top, width, height as fractions of the image, then 1 for mirrored; shape (B, 5),
        float32.
    size
        Side of the result, in pixels.
    mean, std
        Mean and standard deviation of each channel, for pixels in [0, 1].

    Returns
    -------
    torch.Tensor
        Shape (B, 3, size, size), float32, in the memory format channels last, for which
        convolutions are faster.
    """
    # Without a filter, larger images would be sampled at single pixels and look ragged.
    if pixels.shape[1] > size:
        return _normalise(_resample(_to_planes(pixels), boxes, size), mean, std)
    return _normalise(_interpolate(_to_planes(pixels), boxes, size), mean, std)


def _interpolate(images: torch.Tensor, boxes: torch.Tensor, size: int) -> torch.Tensor:
    """Sample crops bilinearly."""
    left, top, width, height, flip = boxes.T.unsqueeze(2)
    # Coordinates of grid_sample: pixel centres in [−1, 1]. A negative factor mirrors.
    places = (torch.arange(size, device=images.device) * 2 + 1) / size - 1
    across = places * (width * (1 - 2 * flip)) + (2 * left + width - 1)
    down = places * height + (2 * top + height - 1)
    shape = (len(images), size, size)
    grid = torch.stack([across.unsqueeze(1).expand(shape), down.unsqueeze(2).expand(shape)], dim=3)
    return grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _resample(images: torch.Tensor, boxes: torch.Tensor, size: int) -> torch.Tensor:
    """Resize crops by a triangle filter as wide as the step, first columns, then rows."""
    # torch.nn.functional.interpolate does the same, but with one box for the whole batch.
    left, top, width, height, flip = boxes.unbind(1)
    columns = _triangles(left, width, images.shape[-1], size)
    columns = torch.where(flip.view(-1, 1, 1) > 0, columns.flip(1), columns)
    rows = _triangles(top, height, images.shape[-2], size)
    with torch.autocast(images.device.type, enabled=False):  # half precision would round pixels
        narrow = images @ columns.transpose(1, 2).unsqueeze(1)
        return rows.unsqueeze(1) @ narrow


def _triangles(start: torch.Tensor, extent: torch.Tensor, length: int, size: int) -> torch.Tensor:
    """Return the weights of a line's pixels in each pixel of the result; (B, size, length)."""
    step = (extent * length / size).view(-1, 1, 1)
    number = torch.arange(size, device=start.device).view(1, -1, 1) + 0.5
    centre = start.view(-1, 1, 1) * length + number * step
    pixel = torch.arange(length, device=start.device) + 0.5
    # At least one pixel wide, also where a small crop is enlarged.
    weights = (1 - (pixel - centre).abs() / step.clamp(min=1)).clamp(min=0)
    return weights / weights.sum(dim=2, keepdim=True)


def preprocess_whole(
    pixels: torch.Tensor, size: int, mean: Sequence[float], std: Sequence[float]
) -> torch.Tensor:
    """Resize (if necessary) and normalise whole images; shapes as for `preprocess_views`."""
    images = _to_planes(pixels)
    # The same size is not resampled: antialiasing would still cost a pass over the batch.
    if images.shape[-1] != size:
        images = interpolate(
            images, size=(size, size), mode="bilinear", antialias=True, align_corners=False
        )
    return _normalise(images, mean, std)


def _to_planes(pixels: torch.Tensor) -> torch.Tensor:
    """Convert (B, H, W, 3) uint8 to (B, 3, H, W) float32."""
    return pixels.permute(0, 3, 1, 2).float()


def _normalise(images: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """Subtract the mean and divide by the standard deviation; may change its argument."""
    shift, scale = (_per_channel(tuple(values), images.device) for values in (mean, std))
    # In place: a batch at 448 px has hundreds of megabytes.
    contiguous = images.contiguous(memory_format=torch.channels_last)
    return contiguous.sub_(shift).div_(scale)


@cache
def _per_channel(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Scale values to pixels in [0, 255]; cached, because a copy to a GPU waits for it."""
    # A tensor created in inference mode could not be used in a training later.
    with torch.inference_mode(False):
        return torch.tensor(values, device=device).mul_(255).view(1, 3, 1, 1)

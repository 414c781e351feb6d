"""Cutout and RandAugment of one image on the CPU, by Pillow.

The caller passes the random numbers. Nothing here uses a generator, so the same numbers always
give the same pixels, and teachers and student see the same views.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

__all__ = ["CUTOUT_DRAWS", "OPERATIONS", "OPERATION_DRAWS", "cut_out", "rand_augment"]

CUTOUT_DRAWS = 5  # row and column of the centre, and a colour
OPERATION_DRAWS = 6  # whether, which, how much, which way, row and column
_STRENGTHS = 9
# Fill colours of the package randaugment, which the release of PSD used.
_GREY = (128, 128, 128)
_BROWN = (125, 122, 113)


class _Draw(NamedTuple):
    """Arguments of one operation: an amount in [−1, 1] without 0, and a place in [0, 1)²."""

    amount: float
    row: float
    column: float


def cut_out(pixels: NDArray[np.uint8], share: float, draws: Sequence[float]) -> NDArray[np.uint8]:
    """Cutout: fill a box with one random colour (DeVries and Taylor, arXiv 1708.04552).

    Parameters
    ----------
    pixels
        One image; shape (H, W, 3), uint8. It is copied, not changed.
    share
        Sides of the box as a fraction of the image's sides; it is clipped at the border.
    draws
        Five numbers in [0, 1): row and column of the centre, red, green, blue.

    Examples
    --------
    >>> black = np.zeros((4, 4, 3), dtype=np.uint8)
    >>> cut_out(black, 0.5, [0.5, 0.0, 0.1, 0.5, 0.999])[2].tolist()
    [[25, 128, 255], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    """
    row, column, *colour = draws
    sides = [share * side for side in pixels.shape[:2]]
    return _paint(pixels, (row, column), sides, [int(256 * value) for value in colour])


def _paint(
    pixels: NDArray[np.uint8],
    place: tuple[float, float],
    sides: Sequence[float],
    colour: Sequence[int],
) -> NDArray[np.uint8]:
    """Fill a box around a place, which is given as fractions of the image's sides."""
    box = []
    for at, side, length in zip(place, sides, pixels.shape[:2], strict=True):
        centre, half = int(at * length), int(side + 0.5) // 2
        box.append(slice(max(centre - half, 0), centre + half))
    painted = pixels.copy()
    painted[tuple(box)] = colour
    return painted


def rand_augment(pixels: NDArray[np.uint8], draws: NDArray[np.float64]) -> NDArray[np.uint8]:
    """RandAugment: apply random operations, each with probability ½ and a random strength.

    This is RandAugment (Cubuk et al., arXiv 1909.13719) as implemented by the package
    ``randaugment``, which the release of PSD used: 15 operations, strengths from 1 to 9.

    Parameters
    ----------
    pixels
        One image; shape (H, W, 3), uint8. It is copied, not changed.
    draws
        Numbers in [0, 1), one row per operation: whether to apply it, which one, its strength, its
        sign, and row and column of a hole; shape (operations, 6).
    """
    image = Image.fromarray(pixels)
    for whether, which, strength, sign, row, column in draws:
        if whether < 0.5:
            amount = (1 + int(strength * _STRENGTHS)) / _STRENGTHS
            draw = _Draw(amount if sign < 0.5 else -amount, row, column)
            image = tuple(OPERATIONS.values())[int(which * len(OPERATIONS))](image, draw)
    return np.asarray(image)


def _affine(image: Image.Image, across: Sequence[float], down: Sequence[float]) -> Image.Image:
    """Move pixels: (x, y) is read at (across·(x, y, 1), down·(x, y, 1)), grey outside the image."""
    # Shears interpolate; translations take the nearest pixel, as in the package.
    shears = bool(across[1] or down[0])
    resample = Image.Resampling.BICUBIC if shears else Image.Resampling.NEAREST
    matrix = (*across, *down)
    return image.transform(image.size, Image.Transform.AFFINE, matrix, resample, fillcolor=_GREY)


def _shift(draw: _Draw, side: int) -> float:
    """Return the pixels of a translation; 150 of 331 pixels is the largest one in the package."""
    return 150 / 331 * draw.amount * side


def _hole(image: Image.Image, draw: _Draw) -> Image.Image:
    """Fill a small brown box, whose side is in pixels whatever the size of the image."""
    side = round(20 * abs(draw.amount))
    pixels = np.asarray(image)
    return Image.fromarray(_paint(pixels, (draw.row, draw.column), (side, side), _BROWN))


# The order maps random numbers to operations: changing it changes every view.
OPERATIONS: dict[str, Callable[[Image.Image, _Draw], Image.Image]] = {
    "invert": lambda p, _: ImageOps.invert(p),
    "hole": _hole,
    "sharpness": lambda p, d: ImageEnhance.Sharpness(p).enhance(1 + 0.9 * d.amount),
    "autocontrast": lambda p, _: ImageOps.autocontrast(p),
    "posterize": lambda p, d: ImageOps.posterize(p, round(8 - 4 * abs(d.amount))),
    "shear_x": lambda p, d: _affine(p, (1, 0.3 * d.amount, 0), (0, 1, 0)),
    "translate_x": lambda p, d: _affine(p, (1, 0, _shift(d, p.width)), (0, 1, 0)),
    "translate_y": lambda p, d: _affine(p, (1, 0, 0), (0, 1, _shift(d, p.height))),
    "shear_y": lambda p, d: _affine(p, (1, 0, 0), (0.3 * d.amount, 1, 0)),
    "rotate": lambda p, d: p.rotate(30 * abs(d.amount), fillcolor=_GREY),
    "equalize": lambda p, _: ImageOps.equalize(p),
    "contrast": lambda p, d: ImageEnhance.Contrast(p).enhance(1 + 0.9 * d.amount),
    "color": lambda p, d: ImageEnhance.Color(p).enhance(1 + 0.9 * d.amount),
    "solarize": lambda p, d: ImageOps.solarize(p, int(256 * (1 - abs(d.amount)))),
    "brightness": lambda p, d: ImageEnhance.Brightness(p).enhance(1 + 0.9 * d.amount),
}

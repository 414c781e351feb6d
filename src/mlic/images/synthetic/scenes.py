"""The built-in data set: small synthetic images of objects that co-occur.

Every image is a scene of one community (a kitchen, a street, a garden), occasionally with an object
from another one. Objects of different communities look alike in pairs (a plate and a wheel, a fork
and a fence), so co-occurring labels carry information about a label that its own pixels do not.

All drawing is integer arithmetic, and all random numbers are integers from one PCG64 stream: a seed
gives the same bytes on every machine.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlic.images.options import SyntheticOptions
from mlic.images.records import ImageRecords
from mlic.images.synthetic.glyphs import BLOB, STROKE, TURN, Glyph, Ints, label_glyphs, rasterise
from mlic.labels import LabelMatrix, LabelSpace
from mlic.utils.progress import progress

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["draw_scenes"]

Pixels = NDArray[np.uint8]

# fmt: off
_COLOURS = (
    (226, 84, 72), (92, 190, 98), (82, 128, 228), (236, 200, 72), (190, 96, 206), (80, 200, 206),
    (238, 146, 62), (236, 232, 222), (150, 116, 84), (240, 150, 180), (168, 214, 90), (44, 48, 60),
)
# fmt: on
_FREQUENCY = (40, 20, 10, 1)  # weights of the members of a community; repeated beyond four
_TILT = 7  # largest rotation of an object, in units of 1 / TURN of a full turn
_TRIES = 8  # places tried before an object is left out


def draw_scenes(options: SyntheticOptions, seed: int) -> tuple[ImageRecords, Pixels]:
    """Draw labelled scenes.

    Returns
    -------
    records : ImageRecords
        Uncompressed BMP files with noisy labels and no declared splits.
    masks : numpy.ndarray
        uint8, shape (n, size, size): c + 1 where label c is the topmost object, 0 elsewhere. Before
        noise, a label is present exactly if it appears in the mask.

    Notes
    -----
    An object that would hide more than half of another one is placed elsewhere; if no place is
    found in a few tries, it is left out of image and labels. Label noise exchanges, for each label,
    the fraction ``label_noise`` of its present states with as many absent ones, so that label
    frequencies never change.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    glyphs = label_glyphs(options.num_communities, options.labels_per_community)
    masks = np.zeros((options.num_images, options.size, options.size), dtype=np.uint8)
    sources = []
    for mask in progress(masks, what="drawing scenes", unit="image"):
        sources.append(_encode(_draw_scene(mask, list(glyphs.values()), options, rng)))
    states = _present(masks, len(glyphs)).astype(np.int8)
    _move_labels(states, options.label_noise, rng)
    ids = np.array([f"scene_{i:06d}" for i in range(len(masks))])
    labels = LabelMatrix(LabelSpace(tuple(glyphs)), ids, states, np.full(len(ids), ""))
    return ImageRecords(labels, sources), masks


def _draw_scene(
    mask: Pixels, glyphs: Sequence[Glyph], options: SyntheticOptions, rng: np.random.Generator
) -> Pixels:
    """Draw one image, shape (size, size, 3), and fill its mask, shape (size, size)."""
    canvas = _background(options.size, rng)
    for _ in range(_pick(rng, 0, options.max_clutter)):
        _add_clutter(canvas, rng)
    least, most = (round(share * options.size) for share in (options.smallest, options.largest))
    areas = np.zeros(len(glyphs) + 1, dtype=np.int64)
    for label in _choose_labels(options, rng):
        coverage = rasterise(glyphs[label], _pick(rng, least, most), _pick(rng, -_TILT, _TILT))
        window = _free_window(mask, coverage, areas, rng)
        # The label belongs to the image only if there was a place for its object.
        if window is not None:
            _paint(canvas, window, coverage, _colour(label, rng))
            mask[window][_solid(coverage)] = label + 1
            areas[label + 1] = _solid(coverage).sum()
    # Noise in every pixel and a shift of the whole image hinder learning from exact colours.
    canvas += rng.integers(-14, 15, size=(*mask.shape, 1), dtype=np.int16) + _pick(rng, -20, 20)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _pick(rng: np.random.Generator, low: int, high: int) -> int:
    """Draw an integer; both bounds are included."""
    return int(rng.integers(low, high + 1))


def _choose_labels(options: SyntheticOptions, rng: np.random.Generator) -> list[int]:
    """Choose the labels of one image: mostly of one community, sometimes of another."""
    communities, members = options.num_communities, options.labels_per_community
    chances = np.tile(np.resize(_FREQUENCY, members), (communities, 1))
    at_home = np.arange(communities) == _pick(rng, 0, communities - 1)
    labels: list[int] = []
    for _ in range(_pick(rng, 1, options.max_objects)):
        guest = _pick(rng, 0, 999) < round(1000 * options.cross_probability)
        # Members of the scene's community, or of all others for a guest, by their weights.
        limits = (chances * (at_home ^ guest)[:, None]).cumsum()
        if limits[-1] > 0:
            labels.append(int(np.searchsorted(limits, rng.integers(limits[-1]), side="right")))
            chances.flat[labels[-1]] = 0  # each label at most once
    return labels


def _background(size: int, rng: np.random.Generator) -> Ints:
    """Draw a background with soft spots; int16, shape (size, size, 3)."""
    spots = rng.integers(-28, 29, size=(9, 9))
    # Bilinear interpolation of a 9 × 9 grid of spots, in integers.
    weights = np.maximum(size - abs(8 * np.arange(size)[:, None] - size * np.arange(9)), 0)
    texture = weights @ spots @ weights.T // (size * size)
    tint = rng.integers(-22, 23, size=3) + _pick(rng, 50, 159)
    ground: Ints = texture.astype(np.int16)[:, :, None] + tint.astype(np.int16)
    return ground


def _add_clutter(canvas: Ints, rng: np.random.Generator) -> None:
    """Paint a line or a blob of any colour at any place."""
    glyph = (BLOB, STROKE)[_pick(rng, 0, 1)]
    diameter = _pick(rng, len(canvas) // 5, len(canvas) // 3)
    coverage = rasterise(glyph, diameter, _pick(rng, 0, TURN - 1))
    _paint(canvas, _window(coverage, len(canvas), rng), coverage, _colour(None, rng))


def _solid(coverage: Ints) -> NDArray[np.bool_]:
    """Return which pixels a glyph covers by more than half."""
    return coverage >= 3


def _window(coverage: Ints, size: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """Choose a place for a glyph that lies entirely in the image."""
    height, width = coverage.shape
    top, left = _pick(rng, 0, size - height), _pick(rng, 0, size - width)
    return slice(top, top + height), slice(left, left + width)


def _free_window(
    mask: Pixels, coverage: Ints, areas: Ints, rng: np.random.Generator
) -> tuple[slice, slice] | None:
    """Choose a place that leaves half of every earlier object visible, if one is found."""
    visible = np.bincount(mask.ravel(), minlength=len(areas))
    for _ in range(_TRIES):
        window = _window(coverage, len(mask), rng)
        hidden = np.bincount(mask[window][_solid(coverage)], minlength=len(areas))
        if (2 * (visible - hidden) >= areas)[1:].all():
            return window
    return None


def _paint(canvas: Ints, window: tuple[slice, slice], coverage: Ints, colour: Ints) -> None:
    """Blend a colour into an image, in place, where a glyph covers it."""
    under = canvas[window]
    under += (colour - under) * coverage[:, :, None] // 4


def _colour(label: int | None, rng: np.random.Generator) -> Ints:
    """Choose a colour and its brightness; with probability ⅓, it is the label's own colour."""
    hue = _pick(rng, 0, len(_COLOURS) - 1)
    if label is not None and _pick(rng, 0, 2) == 0:
        hue = label % len(_COLOURS)
    shade = _pick(rng, 65, 115)
    return np.array([part * shade // 100 for part in _COLOURS[hue]], dtype=np.int16)


def _present(masks: Pixels, num_labels: int) -> NDArray[np.bool_]:
    """Return which labels appear in each mask; bool, shape (n, num_labels)."""
    present = np.zeros((len(masks), num_labels + 1), dtype=np.bool_)
    present[np.arange(len(masks))[:, None], masks.reshape(len(masks), -1)] = True
    return present[:, 1:]


def _move_labels(states: NDArray[np.int8], share: float, rng: np.random.Generator) -> None:
    """Exchange a fraction of each label's present states with absent ones, in place."""
    for column in states.T:
        # A permutation by sorting integers, the only random numbers used in this module.
        order = rng.integers(2**62, size=len(column)).argsort(kind="stable")
        present, absent = order[column[order] == 1], order[column[order] == 0]
        moved = min(round(share * len(present)), len(absent))
        column[present[:moved]] = 0
        column[absent[:moved]] = 1


def _encode(pixels: Pixels) -> bytes:
    """Encode an image as an uncompressed BMP."""
    # Lossless, and the same bytes with every version of Pillow, unlike PNG.
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="BMP")
    return file.getvalue()

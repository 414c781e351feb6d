"""Augmented views of images: a pure function of image id, view number and seed.

Baseline, teachers and student read the same views, so the logits that a teacher stored for view v
of an image were computed from exactly the pixels that the student reads for it.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlic.images.options import AugmentationOptions
from mlic.images.pixel_ops import CUTOUT_DRAWS, OPERATION_DRAWS, cut_out, rand_augment

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ViewSampler"]

# Constants of splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
# Numbers of the random stream: boxes use 8 per view from 0, pixel operations 64 per view from 2³²,
# so that neither changes when the other is switched on.
_BOX_DRAWS = 8
_FIRST_PIXEL_DRAW = 2**32
_PIXEL_DRAWS = 64


class ViewSampler:
    """Samples views of images; for the same seed, they are the same on every machine.

    Cutout and RandAugment are applied to the stored image (`augment`); crop, mirroring and resizing
    to the model's input follow (`boxes`, then `mlic.images.preprocess.preprocess_views`).

    Parameters
    ----------
    ids
        Image ids; their hashes, not their order, determine the views.
    options
        Augmentation options.
    seed
        Seed of the run.
    threads
        Number of images augmented at the same time; it does not change any pixel.
    """

    def __init__(
        self,
        ids: Sequence[str] | NDArray[np.str_],
        options: AugmentationOptions,
        seed: int,
        threads: int = 1,
    ) -> None:
        self.options, self.threads = options, threads
        # One key per image: its views do not depend on the other images, or on their order.
        hashes = (_hash(f"{seed}\x1f{name}") for name in ids)
        self._keys = np.fromiter(hashes, dtype=np.uint64, count=len(ids))

    @property
    def num_views(self) -> int:
        """Number of different views of each image."""
        return self.options.views

    @property
    def crops(self) -> bool:
        """Whether a view may be a crop of the image, or mirrored."""
        return self.options.min_crop < 1 or self.options.max_aspect > 1 or self.options.flip

    def boxes(self, rows: NDArray[np.intp] | Sequence[int], view: int) -> NDArray[np.float32]:
        """Return the crops of the images at some positions in `ids`; shape (B, 5), float32.

        Columns are left, top, width and height as fractions of the image, then 1 for a mirrored
        view, else 0. Numbers of views start from 0 and are taken modulo the number of views.
        """
        keys = self._keys[np.asarray(rows, dtype=np.intp)]
        first = (view % self.num_views) * _BOX_DRAWS
        draws = [_uniform(keys, first + number) for number in range(5)]
        area = self.options.min_crop + draws[0] * (1 - self.options.min_crop)
        # A crop of this area does not fit into the image with an aspect beyond 1 / area.
        aspect = np.minimum(self.options.max_aspect, 1 / area) ** (draws[1] * 2 - 1)
        width, height = np.sqrt(area * aspect), np.sqrt(area / aspect)
        left, top = draws[2] * (1 - width), draws[3] * (1 - height)
        flip = (draws[4] < 0.5) & self.options.flip
        return np.stack([left, top, width, height, flip], axis=1).astype(np.float32)

    def augment(
        self, pixels: NDArray[np.uint8], rows: NDArray[np.intp] | Sequence[int], view: int
    ) -> NDArray[np.uint8]:
        """Apply Cutout, then RandAugment, if the options ask for them.

        Arguments and result are as in `boxes`, with the stored images of `rows`, shape
        (B, H, W, 3), uint8. `pixels` itself is returned if neither is asked for.
        """
        options = self.options
        if not options.cutout and not options.rand_augment:
            return pixels
        keys = self._keys[np.asarray(rows, dtype=np.intp)]
        first = _FIRST_PIXEL_DRAW + (view % self.num_views) * _PIXEL_DRAWS
        number = CUTOUT_DRAWS + options.rand_augment * OPERATION_DRAWS
        draws = np.stack([_uniform(keys, first + i) for i in range(number)], axis=1)

        def change(image: NDArray[np.uint8], own: NDArray[np.float64]) -> NDArray[np.uint8]:
            if options.cutout:
                image = cut_out(image, options.cutout, own[:CUTOUT_DRAWS].tolist())
            return rand_augment(image, own[CUTOUT_DRAWS:].reshape(-1, OPERATION_DRAWS))

        with ThreadPoolExecutor(self.threads) as pool:  # Pillow releases the interpreter lock
            return np.stack(list(pool.map(change, pixels, draws)))


def _hash(text: str) -> int:
    """Hash a text to 64 bits; Python's own hash changes between processes."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _uniform(keys: NDArray[np.uint64], number: int) -> NDArray[np.float64]:
    """Return one number in [0, 1) per key, from its splitmix64 stream; float64."""
    with np.errstate(over="ignore"):  # the arithmetic is modulo 2⁶⁴
        z = keys + np.uint64(number + 1) * _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _MIX[0]
        z = (z ^ (z >> np.uint64(27))) * _MIX[1]
        z = z ^ (z >> np.uint64(31))
    # A float64 has 53 bits of precision.
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53

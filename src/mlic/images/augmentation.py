"""Views of an image: a pure function of image id, view number and seed.

Baseline, teachers and student read the same views, so the logits that a teacher wrote for view v
of an image belong to the very pixels that the student sees there.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlic.images.options import AugmentationOptions
from mlic.images.perturbation import CUTOUT_DRAWS, OPERATION_DRAWS, cut_out, rand_augment

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ViewSampler"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_PERTURBATIONS = 2**32  # their draws lie far from those of the boxes
_MOST_DRAWS = 64  # of perturbations, a view


class ViewSampler:
    """Views, the same for one seed on any machine.

    Cutout and RandAugment come first, on the stored image; crop, mirroring and the size of the
    model's input follow.

    Parameters
    ----------
    ids
        Image ids; their hashes, not their order, decide the views.
    options
        What views may look like.
    seed
        The run's seed.
    threads
        Images perturbed at once; no pixel depends on it.

    Examples
    --------
    >>> maker = ViewSampler(["a", "b"], AugmentationOptions(), seed=0)
    >>> boxes = maker.boxes(np.array([1]), view=2)
    >>> (
    ...     boxes.shape,
    ...     bool((boxes == ViewSampler(["b"], AugmentationOptions(), 0).boxes([0], 2)).all()),
    ... )
    ((1, 5), True)
    """

    def __init__(
        self, ids: Sequence[str], options: AugmentationOptions, seed: int, threads: int = 1
    ) -> None:
        self.options, self.threads = options, threads
        self._keys = np.array([_hash(f"{seed}\x1f{name}") for name in ids], dtype=np.uint64)

    @property
    def num_views(self) -> int:
        """Different views of each image."""
        return self.options.views

    @property
    def crops(self) -> bool:
        """Whether a view may be less than the whole image, or mirrored."""
        return self.options.min_crop < 1 or self.options.max_aspect > 1 or self.options.flip

    def boxes(self, rows: NDArray[np.intp] | Sequence[int], view: int) -> NDArray[np.float32]:
        """Crops of some images.

        Parameters
        ----------
        rows
            Positions in `ids`; shape (B,).
        view
            Number of the view, from 0; counted modulo the number of views.

        Returns
        -------
        numpy.ndarray
            Left, top, width and height as shares of the image, then 1 for a mirrored view or
            0; shape (B, 5), float32.
        """
        keys = self._keys[np.asarray(rows, dtype=np.intp)]
        draws = [_uniform(keys, (view % self.num_views) * 8 + number) for number in range(5)]
        area = self.options.min_crop + draws[0] * (1 - self.options.min_crop)
        # a large crop has little choice of aspect: beyond 1 / area it would not fit
        aspect = np.minimum(self.options.max_aspect, 1 / area) ** (draws[1] * 2 - 1)
        width, height = np.sqrt(area * aspect), np.sqrt(area / aspect)
        left, top = draws[2] * (1 - width), draws[3] * (1 - height)
        flip = (draws[4] < 0.5) & self.options.flip
        return np.stack([left, top, width, height, flip], axis=1).astype(np.float32)

    def perturb(
        self, pixels: NDArray[np.uint8], rows: NDArray[np.intp] | Sequence[int], view: int
    ) -> NDArray[np.uint8]:
        """Cutout, then RandAugment, as far as the options ask for them.

        Parameters
        ----------
        pixels
            The stored images of `rows`; shape (B, H, W, 3), uint8.
        rows, view
            As in `boxes`.

        Returns
        -------
        numpy.ndarray
            Of the same shape; `pixels` itself where nothing is asked for.
        """
        options = self.options
        if not options.cutout and not options.rand_augment:
            return pixels
        keys = self._keys[np.asarray(rows, dtype=np.intp)]
        first = _PERTURBATIONS + (view % self.num_views) * _MOST_DRAWS
        number = CUTOUT_DRAWS + options.rand_augment * OPERATION_DRAWS
        draws = np.stack([_uniform(keys, first + i) for i in range(number)], axis=1)

        def change(image: NDArray[np.uint8], own: NDArray[np.float64]) -> NDArray[np.uint8]:
            if options.cutout:
                image = cut_out(image, options.cutout, own[:CUTOUT_DRAWS].tolist())
            return rand_augment(image, own[CUTOUT_DRAWS:].reshape(-1, OPERATION_DRAWS))

        with ThreadPoolExecutor(self.threads) as pool:  # Pillow lets go of Python's lock
            return np.stack(list(pool.map(change, pixels, draws)))


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _uniform(keys: NDArray[np.uint64], number: int) -> NDArray[np.float64]:
    """Splitmix64 of key and number, as doubles in [0, 1)."""
    with np.errstate(over="ignore"):
        z = keys + np.uint64(number + 1) * _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _MIX[0]
        z = (z ^ (z >> np.uint64(27))) * _MIX[1]
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53

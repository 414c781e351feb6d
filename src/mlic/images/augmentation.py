"""Views of a picture: crop and flip as a pure function of picture id, view number and seed.

Baseline, teachers and student read the same views, so the logits that a teacher wrote for view v
of a picture belong to the very pixels that the student sees there.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["AugmentationOptions", "ViewMaker"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


class AugmentationOptions(BaseModel):
    """How views differ from the stored picture."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    views: int = Field(default=4, ge=1, description="different views of each picture")
    min_crop: float = Field(
        default=0.6, gt=0, le=1, description="smallest share of the picture's area in a crop"
    )
    max_aspect: float = Field(
        default=1.25, ge=1, description="largest ratio of a crop's sides, either way"
    )
    flip: bool = Field(default=True, description="whether half of the views are mirrored")


class ViewMaker:
    """Boxes of views, the same for one seed on any machine.

    Parameters
    ----------
    ids
        Picture ids; their hashes, not their order, decide the views.
    options
        What views may look like.
    seed
        The run's seed.

    Examples
    --------
    >>> maker = ViewMaker(["a", "b"], AugmentationOptions(), seed=0)
    >>> boxes = maker.boxes(np.array([1]), view=2)
    >>> boxes.shape, bool((boxes == ViewMaker(["b"], AugmentationOptions(), 0).boxes([0], 2)).all())
    ((1, 5), True)
    """

    def __init__(self, ids: Sequence[str], options: AugmentationOptions, seed: int) -> None:
        self.options = options
        self._keys = np.array([_hash(f"{seed}\x1f{name}") for name in ids], dtype=np.uint64)

    @property
    def num_views(self) -> int:
        """Different views of each picture."""
        return self.options.views

    def boxes(self, rows: NDArray[np.intp] | Sequence[int], view: int) -> NDArray[np.float32]:
        """Crops of some pictures.

        Parameters
        ----------
        rows
            Positions in `ids`; shape (B,).
        view
            Number of the view, from 0; counted modulo the number of views.

        Returns
        -------
        numpy.ndarray
            Left, top, width and height as shares of the picture, then 1 for a mirrored view or
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

"""Which labels of an image are known, so that a model can be scored on the others.

For every image the labels are shuffled once. The first quarter of this order is known from 25 % on,
the second from 50 % on, the third from 75 % on, and the last quarter never: it is scored at every
level. So the levels are nested, and differ in what is known only, not in what is scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from mlic.errors import DataError
from mlic.labels import UNKNOWN, LabelSpace
from mlic.utils.seeds import derive_seed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LEVELS", "NEVER", "LabelMasks", "draw_subset"]

LEVELS = (0, 25, 50, 75)  # percent of the labels that are known
NEVER = 100
IMAGE = "image"


def draw_subset(
    states: NDArray[np.int8], share: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Choose some labels of each image: first how many, uniformly up to a share, then which.

    States and the result have the shape (n, C).
    """
    number, size = states.shape
    numbers = rng.integers(0, int(share * size), (number,), endpoint=True)
    ranks = rng.random(states.shape).argsort(axis=1).argsort(axis=1)
    chosen: NDArray[np.bool_] = ranks < numbers[:, None]
    return chosen


@dataclass(frozen=True)
class LabelMasks:
    """From which level on each label of each image is known.

    Parameters
    ----------
    space
        The labels, in column order.
    ids
        Image ids; shape (n,).
    levels
        25, 50, 75, or 100: never known, and therefore scored; uint8, shape (n, C).

    Examples
    --------
    >>> masks = LabelMasks.draw(["a.jpg", "b.jpg"], LabelSpace(tuple("pqrs")), seed=0)
    >>> np.sort(masks.levels, axis=1).tolist()
    [[25, 50, 75, 100], [25, 50, 75, 100]]
    """

    space: LabelSpace
    ids: NDArray[np.str_]
    levels: NDArray[np.uint8]

    @classmethod
    def draw(cls, ids: NDArray[np.str_] | list[str], space: LabelSpace, seed: int) -> Self:
        """Draw masks by image id and seed: the same on every machine, whatever the other images."""
        number = len(space)
        ends = [level * number // 100 for level in LEVELS[1:]]
        # the level of the label at each position of the shuffled order
        steps = np.searchsorted(ends, np.arange(number), side="right")
        at_position = np.array([*LEVELS[1:], NEVER], dtype=np.uint8)[steps]
        levels = np.empty((len(ids), number), np.uint8)
        for row, name in enumerate(ids):
            order = np.random.default_rng(derive_seed(seed, f"known labels of {name}"))
            levels[row, order.permutation(number)] = at_position
        return cls(space, np.asarray(ids, dtype=np.str_), levels)

    def known(self, states: NDArray[np.int8], level: int) -> NDArray[np.int8]:
        """States that are known at a level, −1 elsewhere; int8, shape (n, C)."""
        return np.where(self.levels <= level, states, UNKNOWN).astype(np.int8)

    def scored(self, states: NDArray[np.int8]) -> NDArray[np.int8]:
        """States that are known at no level, −1 elsewhere; int8, shape (n, C)."""
        return np.where(self.levels == NEVER, states, UNKNOWN).astype(np.int8)

    def require_images(self, ids: NDArray[np.str_], space: LabelSpace) -> None:
        """Refuse to be used for other images or labels.

        Raises
        ------
        DataError
            If the masks are those of other images, or of the same in another order.
        LabelError
            If they are those of other labels.
        """
        self.space.require_same(space, "the label masks", "the labels")
        if not np.array_equal(self.ids, ids):
            missing = sorted(set(ids.tolist()) - set(self.ids.tolist()))
            first = f"; '{missing[0]}' has no mask" if missing else ""
            raise DataError(
                f"the label masks are those of {len(self.ids)} other images than the {len(ids)} "
                f"to score{first}: draw them anew",
                found=len(self.ids),
                expected=len(ids),
            )

    @classmethod
    def from_table(cls, table: pd.DataFrame, space: LabelSpace) -> Self:
        """Restore masks from a table with the columns of `to_columns`.

        Raises
        ------
        DataError
            If the table lacks a label, or has a level that is none.
        """
        columns = _columns(space)
        missing = [name for name in (IMAGE, *columns) if name not in table.columns]
        if missing:
            raise DataError(
                f"the table of label masks has no column '{missing[0]}': draw the masks anew",
                name=missing[0],
            )
        levels = table[columns].to_numpy(dtype=np.uint8)
        if not np.isin(levels, [*LEVELS[1:], NEVER]).all():
            raise DataError("the table of label masks has a level other than 25, 50, 75 and 100")
        return cls(space, table[IMAGE].to_numpy(dtype=np.str_), levels)

    def to_columns(self) -> dict[str, NDArray[Any]]:
        """Columns of a table: ``image``, and the level of every label."""
        levels = dict(zip(_columns(self.space), self.levels.T, strict=True))
        return {IMAGE: self.ids, **levels}


def _columns(space: LabelSpace) -> list[str]:
    """Columns of the labels; one that is called "image" gives way to the ids."""
    return [f"{name} (label)" if name == IMAGE else name for name in space.names]

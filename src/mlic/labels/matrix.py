"""The label matrix: three-valued states of every label in every image, with ids and splits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlic.errors import LabelError
from mlic.labels.space import LabelSpace

__all__ = ["ABSENT", "PRESENT", "SPLITS", "UNKNOWN", "LabelMatrix", "require_states"]

PRESENT, ABSENT, UNKNOWN = 1, 0, -1
SPLITS = ("train", "validation", "test")


def require_states(states: NDArray[Any]) -> None:
    """Raise a `LabelError` if a state is not 1, 0 or −1."""
    # three comparisons take a fraction of the time of np.isin
    known = (states == PRESENT) | (states == ABSENT) | (states == UNKNOWN)
    if not known.all():
        found = states[~known][0].item()
        raise LabelError(
            f"the label state {found} is neither 1 (present), 0 (absent) nor −1 (unknown): recode "
            "the labels",
            found=found,
        )


@dataclass(frozen=True)
class LabelMatrix:
    """States of every label in every image, with image ids and splits.

    Parameters
    ----------
    space
        The labels, in column order.
    ids
        Image ids, unique; shape (n,), strings.
    states
        1 present, 0 absent, −1 unknown; shape (n, len(space)), int8.
    split
        ``"train"``, ``"validation"``, ``"test"``, or ``""`` if not assigned yet; shape (n,).

    Raises
    ------
    LabelError
        If shapes disagree, an id occurs twice, or a state or a split is not an allowed value.

    Examples
    --------
    >>> matrix = LabelMatrix(
    ...     LabelSpace(("cat", "dog")), ["a", "b"], [[1, 0], [1, -1]], ["train", ""]
    ... )
    >>> matrix.in_split("train").ids.tolist()
    ['a']
    """

    space: LabelSpace
    ids: NDArray[np.str_]
    states: NDArray[np.int8]
    split: NDArray[np.str_]

    def __post_init__(self) -> None:
        # the class is frozen, so that converted arrays are set through the base class
        object.__setattr__(self, "ids", np.asarray(self.ids, dtype=np.str_))
        object.__setattr__(self, "states", np.asarray(self.states, dtype=np.int8))
        object.__setattr__(self, "split", np.asarray(self.split, dtype=np.str_))
        expected = (len(self.ids), len(self.space))
        if self.states.shape != expected or len(self.split) != len(self.ids):
            raise LabelError(
                f"{len(self.ids)} ids, {len(self.split)} splits and {len(self.space)} labels do "
                f"not fit label states of shape {self.states.shape}: give one row for each image "
                "and one column for each label",
                found=self.states.shape,
                expected=expected,
            )
        # rows are joined by image id everywhere, so that a repeated id would join wrong rows
        unique, counts = np.unique(self.ids, return_counts=True)
        if len(unique) != len(self.ids):
            repeated = unique[counts > 1]
            raise LabelError(
                f"image id '{repeated[0]}' occurs {counts[counts > 1][0]} times, the first of "
                f"{len(repeated)} repeated ids: give every image one row and a unique id",
                name=str(repeated[0]),
            )
        require_states(self.states)
        wrong = set(np.unique(self.split).tolist()) - {*SPLITS, ""}
        if wrong:
            raise LabelError(
                f"split '{min(wrong)}' is not one of {', '.join(SPLITS)}: rename it",
                name=min(wrong),
            )

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with labels, ids, states or splits."""
        digest = hashlib.sha256(self.space.fingerprint.encode())
        # the unit separator \x1f keeps ("a", "bc") and ("ab", "c") apart
        digest.update("\x1f".join(self.ids.tolist()).encode())
        digest.update(np.ascontiguousarray(self.states).tobytes())
        digest.update("\x1f".join(self.split.tolist()).encode())
        return digest.hexdigest()[:16]

    def rows(self, split: str) -> NDArray[np.intp]:
        """Return the row numbers of one split, ascending."""
        return np.flatnonzero(self.split == split)

    def take(self, rows: NDArray[np.intp] | Sequence[int]) -> LabelMatrix:
        """Return the matrix of some rows, in the given order."""
        rows = np.asarray(rows, dtype=np.intp)
        return LabelMatrix(self.space, self.ids[rows], self.states[rows], self.split[rows])

    def in_split(self, split: str) -> LabelMatrix:
        """Return the matrix of one split."""
        return self.take(self.rows(split))

    def with_labels(self, columns: Sequence[int]) -> LabelMatrix:
        """Return the matrix of some labels, in the given order; all images remain."""
        return LabelMatrix(
            self.space.subset(columns), self.ids, self.states[:, list(columns)], self.split
        )

    def with_split(self, split: NDArray[np.str_]) -> LabelMatrix:
        """Return the same matrix with other splits; shape (n,)."""
        return replace(self, split=split)

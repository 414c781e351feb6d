"""Which image carries which label: states in three values, with ids, splits and label space."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mlic.errors import LabelError
from mlic.labels.space import LabelSpace

__all__ = ["ABSENT", "PRESENT", "SPLITS", "UNKNOWN", "LabelMatrix"]

PRESENT, ABSENT, UNKNOWN = 1, 0, -1
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class LabelMatrix:
    """States of every label in every image.

    Parameters
    ----------
    space
        The labels, in column order.
    ids
        Image ids, unique; shape (n,), strings.
    states
        1 present, 0 absent, −1 unknown; shape (n, len(space)), int8.
    split
        ``"train"``, ``"validation"``, ``"test"``, or ``""`` where not decided; shape (n,).

    Raises
    ------
    LabelError
        If shapes disagree, an id stands twice, or a state or split is none of the allowed ones.

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
        object.__setattr__(self, "ids", np.asarray(self.ids, dtype=np.str_))
        object.__setattr__(self, "states", np.asarray(self.states, dtype=np.int8))
        object.__setattr__(self, "split", np.asarray(self.split, dtype=np.str_))
        if self.states.shape != (len(self.ids), len(self.space)) or len(self.split) != len(
            self.ids
        ):
            raise LabelError(
                f"{len(self.ids)} ids, {len(self.split)} splits and {len(self.space)} labels do "
                f"not fit a label matrix of shape {self.states.shape}"
            )
        unique, counts = np.unique(self.ids, return_counts=True)
        if len(unique) != len(self.ids):
            twice = unique[counts > 1]
            raise LabelError(
                f"image id '{twice[0]}' stands {counts[counts > 1][0]} times, the first of "
                f"{len(twice)} that repeat: give every image one row and an id of its own"
            )
        if self.states.size and not np.isin(self.states, (PRESENT, ABSENT, UNKNOWN)).all():
            raise LabelError("a label state is neither 1 (present), 0 (absent) nor −1 (unknown)")
        wrong = set(np.unique(self.split).tolist()) - {*SPLITS, ""}
        if wrong:
            raise LabelError(f"split '{min(wrong)}' is none of {', '.join(SPLITS)}: rename it")

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits over labels, ids, states and splits."""
        digest = hashlib.sha256(self.space.fingerprint.encode())
        digest.update("\x1f".join(self.ids.tolist()).encode())
        digest.update(np.ascontiguousarray(self.states).tobytes())
        digest.update("\x1f".join(self.split.tolist()).encode())
        return digest.hexdigest()[:16]

    def rows(self, split: str) -> NDArray[np.intp]:
        """Row numbers of one split, ascending."""
        return np.flatnonzero(self.split == split)

    def take(self, rows: NDArray[np.intp] | Sequence[int]) -> LabelMatrix:
        """The matrix of some rows, in the order given."""
        rows = np.asarray(rows, dtype=np.intp)
        return LabelMatrix(self.space, self.ids[rows], self.states[rows], self.split[rows])

    def in_split(self, split: str) -> LabelMatrix:
        """The matrix of one split."""
        return self.take(self.rows(split))

    def with_labels(self, columns: Sequence[int]) -> LabelMatrix:
        """The matrix of some labels, in the order given; no image is dropped."""
        return LabelMatrix(
            self.space.subset(columns), self.ids, self.states[:, list(columns)], self.split
        )

    def with_split(self, split: NDArray[np.str_]) -> LabelMatrix:
        """The same matrix with another split."""
        return replace(self, split=split)

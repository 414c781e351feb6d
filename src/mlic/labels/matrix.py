"""The label matrix: three-valued states of every label in every image, with ids and splits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlic.errors import LabelError
from mlic.labels.matrix_digest import MatrixDigest
from mlic.labels.space import LabelSpace

__all__ = [
    "ABSENT",
    "PRESENT",
    "SPLITS",
    "UNKNOWN",
    "LabelMatrix",
    "block_length",
    "require_splits",
    "require_states",
    "require_unique",
]

PRESENT, ABSENT, UNKNOWN = 1, 0, -1
SPLITS = ("train", "validation", "test")
# States in one block. Parquet decodes a block in memory of about 80 times its size, and below a
# million states the time grows.
BLOCK_STATES = 1 << 20


def block_length(space: LabelSpace) -> int:
    """Return the number of images in one block."""
    return max(BLOCK_STATES // len(space), 1)


def require_unique(ids: NDArray[np.str_]) -> None:
    """Raise a `LabelError` if an image id occurs twice."""
    # rows are joined by image id everywhere, so that a repeated id would join wrong rows
    unique, counts = np.unique(ids, return_counts=True)
    if len(unique) != len(ids):
        repeated = unique[counts > 1]
        raise LabelError(
            f"image id '{repeated[0]}' occurs {counts[counts > 1][0]} times, the first of "
            f"{len(repeated)} repeated ids: give every image one row and a unique id",
            name=str(repeated[0]),
        )


def require_splits(split: NDArray[np.str_]) -> None:
    """Raise a `LabelError` if a split is neither known nor empty."""
    wrong = set(np.unique(split).tolist()) - {*SPLITS, ""}
    if wrong:
        raise LabelError(
            f"split '{min(wrong)}' is not one of {', '.join(SPLITS)}: rename it",
            name=min(wrong),
        )


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
        require_unique(self.ids)
        require_states(self.states)
        require_splits(self.split)

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with labels, ids, states or splits."""
        digest = MatrixDigest(self.space)
        digest.add_texts([self.ids.tolist()])
        digest.add_states(self.states)
        digest.add_texts([self.split.tolist()])
        return digest.fingerprint

    def blocks(self) -> Iterator[tuple[NDArray[np.int8], NDArray[np.str_]]]:
        """Yield states, shape (m, C), and splits, shape (m,), of consecutive images.

        Read to the end, so that a matrix that is stored in a file can check what it has read.
        """
        length = block_length(self.space)
        for start in range(0, len(self), length):
            yield self.states[start : start + length], self.split[start : start + length]

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
        return LabelMatrix(self.space, self.ids, self.states, split)

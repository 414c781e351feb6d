"""The fingerprint of a label matrix that is read in parts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mlic.labels.space import LabelSpace

__all__ = ["MatrixDigest"]


class MatrixDigest:
    """Computes the fingerprint of a label matrix while its content passes by.

    The order is fixed: all ids, then the states, row by row, then all splits. How they are divided
    into blocks does not matter.

    Examples
    --------
    >>> digests = []
    >>> for ids in ([["a", "b"]], [["a"], ["b"]]):
    ...     digest = MatrixDigest(LabelSpace(("cat",)))
    ...     digest.add_texts(ids)
    ...     digest.add_states(np.array([[1], [0]], dtype=np.int8))
    ...     digest.add_texts([["train", "test"]])
    ...     digests.append(digest.fingerprint)
    >>> len(set(digests))
    1
    """

    def __init__(self, space: LabelSpace) -> None:
        self._digest = hashlib.sha256(space.fingerprint.encode())

    def add_texts(self, blocks: Iterable[Sequence[str]]) -> None:
        """Add all ids, or all splits."""
        between = ""
        for block in blocks:
            if block:
                # the unit separator \x1f keeps ("a", "bc") and ("ab", "c") apart
                self._digest.update((between + "\x1f".join(block)).encode())
                between = "\x1f"

    def add_states(self, states: NDArray[np.int8]) -> None:
        """Add the states of consecutive images; shape (m, C)."""
        self._digest.update(np.ravel(states).data)  # hashlib takes one axis only

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits, for what was added until now."""
        return self._digest.hexdigest()[:16]

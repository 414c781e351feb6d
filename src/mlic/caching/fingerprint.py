"""Fingerprints: 16 hex digits that stand for values, files and arrays."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fingerprint_file", "fingerprint_parts", "fingerprint_tree"]

NUM_DIGITS = 16  # 64 bits: two of a million artifacts share one with a probability of 3e-8
CHUNK_BYTES = 64 * 2**20  # of a memory-mapped array, so much is in memory at a time


def fingerprint_parts(*parts: str | bytes | NDArray[Any]) -> str:
    """Fingerprint of texts and of the values of arrays, in the order given.

    Of an array the bytes count in C order, read in blocks; give type and shape as text where they
    matter.

    Examples
    --------
    >>> fingerprint_parts("ab", "c") == fingerprint_parts("abc") != fingerprint_parts("cab")
    True
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode())
        elif isinstance(part, bytes):
            digest.update(part)
        else:
            _update(digest, part)
    return digest.hexdigest()[:NUM_DIGITS]


def _update(digest: Any, array: NDArray[Any]) -> None:
    import numpy as np  # here, because runners, which have no arrays, load this module at start-up

    rows = array.reshape(1) if array.ndim == 0 else array
    step = max(1, CHUNK_BYTES // max(1, rows[:1].nbytes))
    for start in range(0, len(rows), step):
        digest.update(np.ascontiguousarray(rows[start : start + step]).data)


def fingerprint_tree(tree: Any) -> str:
    """Fingerprint of a JSON-able tree of values; the order of keys does not count."""
    return fingerprint_parts(json.dumps(tree, sort_keys=True))


def fingerprint_file(path: str | Path | None) -> str | None:
    """Fingerprint of a file's content; None where there is no such file."""
    if path is None or not Path(path).is_file():
        return None
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:NUM_DIGITS]

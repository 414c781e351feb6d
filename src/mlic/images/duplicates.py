"""Images that are the same to the last pixel."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from mlic.caching.fingerprint import fingerprint_parts

if TYPE_CHECKING:
    from mlic.images.store import ImageStore

__all__ = ["find_duplicates"]

CHUNK = 256  # images that are in memory at a time


def find_duplicates(images: ImageStore) -> list[list[int]]:
    """Rows of the images that have the same decoded pixels, each group in ascending order.

    Examples
    --------
    >>> from mlic.images.store import ImageStore
    >>> pixels = np.zeros((4, 8, 8, 3), dtype=np.uint8)
    >>> pixels[1] = 9
    >>> find_duplicates(ImageStore.from_arrays("abcd", pixels))
    [[0, 2, 3]]
    """
    rows = defaultdict[str, list[int]](list)
    for start in range(0, len(images), CHUNK):
        chunk = images.read(np.arange(start, min(start + CHUNK, len(images))))
        for row, pixels in enumerate(chunk, start):
            rows[fingerprint_parts(pixels)].append(row)
    return [group for group in rows.values() if len(group) > 1]

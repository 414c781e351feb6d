"""Images that are the same to the last pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mlic.images.store import ImageStore

__all__ = ["find_duplicates"]


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
    _, which, counts = np.unique(images.digests(), return_inverse=True, return_counts=True)
    rows = np.flatnonzero(counts[which] > 1)  # those that are not alone
    groups: dict[int, list[int]] = {}
    for row in rows.tolist():
        groups.setdefault(int(which[row]), []).append(row)
    return list(groups.values())

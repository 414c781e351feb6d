"""Images as read from a data set: encoded files or bytes, labels, declared splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlic.errors import DataError
from mlic.labels import LabelMatrix

__all__ = ["ImageRecords"]


@dataclass(frozen=True)
class ImageRecords:
    """Encoded images with their labels, before anything is decoded.

    Parameters
    ----------
    labels
        Ids, label states and declared splits (``""`` for images without one).
    sources
        The path of each image's file, or its encoded bytes; length n.
    groups
        Group of each image, such as its scene or patient; images of one group stay in one split;
        shape (n,), strings.

    Raises
    ------
    DataError
        If there is no image, or the lengths differ.
    """

    labels: LabelMatrix
    sources: Sequence[bytes | Path]
    groups: NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        if len(self.labels) == 0:
            raise DataError("the manifest lists no image: give one row for each image")
        lengths = {len(self.labels), len(self.sources)}
        if self.groups is not None:
            lengths.add(len(self.groups))
        if len(lengths) != 1:
            raise DataError(
                f"the numbers of ids, images and groups differ: {sorted(lengths)}",
                found=sorted(lengths),
            )

    def __len__(self) -> int:
        return len(self.labels)

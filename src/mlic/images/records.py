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

    No image at all, and different lengths, raise `DataError`.

    Parameters
    ----------
    labels
        Ids, label states and declared splits (``""`` for images without one).
    sources
        The path of each image's file, or its encoded bytes; length n.
    groups
        Group of each image, such as its scene or patient; images of one group stay in one split;
        shape (n,), strings.
    """

    labels: LabelMatrix
    sources: Sequence[bytes | Path]
    groups: NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        # Refused here, where the cause is still known, and not by the first mean of no value.
        if len(self.labels) == 0:
            raise DataError("the manifest lists no image: give one row for each image")
        groups = self.labels.ids if self.groups is None else self.groups
        lengths = [len(self.labels), len(self.sources), len(groups)]
        if len(set(lengths)) != 1:
            raise DataError(
                f"the numbers of ids, images and groups differ: {lengths}", found=lengths
            )

    def __len__(self) -> int:
        return len(self.labels)

"""Decoded images: one memory-mapped array of pixels with the images' ids and a fingerprint."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from mlic.caching.blocks import read_rows
from mlic.caching.fingerprint import fingerprint_parts
from mlic.caching.memmap import MemmapObject
from mlic.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

__all__ = ["ImageStore", "fingerprint_images"]


@dataclass(frozen=True, eq=False)
class ImageStore(MemmapObject):
    """Decoded images, all of one size, with their ids.

    Parameters
    ----------
    ids
        Image ids; shape (n,), strings.
    pixels
        RGB; uint8, shape (n, H, W, 3) with H = W. A read-only memory map if the store was opened
        from disk.
    fingerprint
        Fingerprint of ids and pixels, computed once, when the store is made.
    folder
        Folder of the store; None where it is in memory only. A store with a folder is copied and
        sent to other processes as the folder's name.

    Raises
    ------
    DataError
        If ids and pixels do not fit each other.

    Examples
    --------
    >>> store = ImageStore.from_arrays(["a", "b"], np.zeros((2, 8, 8, 3), dtype=np.uint8))
    >>> len(store), store.size, store.rows(["b"]).tolist()
    (2, 8, [1])
    """

    kind: ClassVar[str] = "pixels"

    ids: NDArray[np.str_]
    pixels: NDArray[np.uint8]
    fingerprint: str
    folder: Path | None = None

    def __post_init__(self) -> None:
        side = self.pixels.shape[1] if self.pixels.ndim == 4 else 0
        expected = (len(self.ids), side, side, 3)
        if self.pixels.dtype != np.uint8 or self.pixels.shape != expected:
            raise DataError(
                f"{len(self.ids)} ids do not fit pixels of shape {self.pixels.shape} and type "
                f"{self.pixels.dtype}: give uint8 of shape (n, size, size, 3)",
                found=self.pixels.shape,
            )

    @classmethod
    def from_arrays(cls, ids: Iterable[str], pixels: NDArray[np.uint8]) -> Self:
        """Build a store in memory."""
        # NumPy would make one object of a generator, so that it is read to a list first.
        names = np.asarray(list(ids), dtype=np.str_)
        return cls(names, pixels, fingerprint_images(names, pixels))

    @property
    def array(self) -> NDArray[np.uint8]:
        """Pixels as they lie on disk."""
        return self.pixels

    def describe(self) -> dict[str, Any]:
        """Everything but the pixels, as a JSON-able tree."""
        return {"ids": self.ids.tolist(), "fingerprint": self.fingerprint}

    @classmethod
    def from_array(
        cls, array: NDArray[Any], description: Mapping[str, Any], folder: Path | None = None
    ) -> Self:
        """Build the store from its pixels and what `describe` gave."""
        ids = np.asarray(description["ids"], dtype=np.str_)
        return cls(ids, array, description["fingerprint"], folder)

    @property
    def size(self) -> int:
        """Side of the images, in pixels."""
        return int(self.pixels.shape[1])

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, rows: Any) -> NDArray[np.uint8]:
        """Pixels of some rows, given by number or as a slice; shape (B, H, W, 3).

        Damaged pixels on disk raise `DataError`.
        """
        return read_rows(self.pixels, rows)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.ids.tolist())}

    def rows(self, ids: Iterable[str]) -> NDArray[np.intp]:
        """Row numbers of some images, in the order given.

        Raises
        ------
        DataError
            If an id is not in the store.
        """
        try:
            return np.asarray([self._rows[str(name)] for name in ids], dtype=np.intp)
        except KeyError as error:
            place = f" {self.folder}" if self.folder else ""
            raise DataError(
                f"image {error} is not among the {len(self)} images of the store{place}: decode "
                "the images again",
                name=error.args[0],
            ) from None


def fingerprint_images(ids: NDArray[np.str_], pixels: NDArray[np.uint8]) -> str:
    """Fingerprint of ids and pixels; the latter are read in blocks."""
    # The separator appears in no id, so different lists of ids cannot give the same text.
    return fingerprint_parts("\x1f".join(ids.tolist()), str(pixels.shape), pixels)

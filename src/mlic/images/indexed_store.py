"""Stores that keep no pixels: an index says where each image lies, and reading decodes it."""

from __future__ import annotations

from abc import abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from mlic.caching.blocks import read_rows
from mlic.images.decode import count_threads
from mlic.images.store import ImageStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import DTypeLike, NDArray

__all__ = ["IndexedStore"]


@dataclass(frozen=True, eq=False)
class IndexedStore(ImageStore):
    """Images that are decoded when they are read, in threads.

    The index is memory-mapped, and nothing else grows with the number of images: a store of a
    million images takes the memory of a store of ten thousand.

    Parameters
    ----------
    index
        One entry an image; structured, shape (n,). Its fields are `columns`, ``pixels`` (the
        digest of the decoded pixels) and ``id``.
    size
        Side of the images, in pixels.
    fingerprint, folder
        See `ImageStore`.
    place
        What else says where the images lie.
    """

    columns: ClassVar[Sequence[tuple[str, DTypeLike]]]

    index: NDArray[np.void]
    size: int
    fingerprint: str
    place: Any
    folder: Path | None = None

    @classmethod
    def dtype(cls, ids: NDArray[np.str_], **columns: DTypeLike) -> np.dtype[np.void]:
        """Type of an index for some ids; keywords add columns to `columns`."""
        own = [*cls.columns, *columns.items()]
        return np.dtype([*own, ("pixels", "<u8"), ("id", ids.dtype)])

    @cached_property
    def ids(self) -> NDArray[np.str_]:
        """Image ids; shape (n,), strings."""
        return np.asarray(self.index["id"])

    @property
    def array(self) -> NDArray[np.void]:
        """The index as it lies on disk."""
        return self.index

    def digests(self) -> NDArray[np.uint64]:
        """Digests of the pixels, which were computed when the store was made."""
        return np.asarray(self.index["pixels"])

    def describe(self) -> dict[str, Any]:
        """Everything but the index, as a JSON-able tree."""
        return {"size": self.size, "fingerprint": self.fingerprint, "place": self.place}

    @classmethod
    def from_array(
        cls, array: NDArray[Any], description: Mapping[str, Any], folder: Path | None = None
    ) -> Self:
        """Build the store from its index, all of which is compared, and what `describe` gave."""
        size, fingerprint = int(description["size"]), str(description["fingerprint"])
        return cls(read_rows(array), size, fingerprint, description["place"], folder)

    def read(self, rows: Any) -> NDArray[np.uint8]:
        """Decode some rows; see `ImageStore.read`."""
        entries = self.index[rows]
        pixels = np.empty((len(entries), self.size, self.size, 3), dtype=np.uint8)

        def fill(place: int) -> None:
            pixels[place] = self._decode(entries[place])

        with ThreadPoolExecutor(count_threads()) as pool:
            list(pool.map(fill, range(len(entries))))
        return pixels

    @abstractmethod
    def _decode(self, entry: np.void) -> NDArray[np.uint8]:
        """Read and decode one image; shape (size, size, 3). It runs in threads."""

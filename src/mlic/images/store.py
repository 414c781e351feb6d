"""Images of one size with their ids and a fingerprint, read by row wherever their pixels are kept.

A store lies in a folder. `PixelStore` keeps decoded pixels, `mlic.images.encoded_store` encoded
images in shards, `mlic.images.file_store` the places of the files. The same images have the same
fingerprint in all of them, unless they are encoded with loss: what was made from one is valid for
the others.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np

from mlic.caching.blocks import read_rows
from mlic.caching.fingerprint import fingerprint_parts
from mlic.caching.memmap import MemmapObject
from mlic.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

__all__ = ["STORES", "ImageStore", "PixelStore", "digest_bytes", "fingerprint_images"]

STORES = {
    "pixels": "mlic.images.store.PixelStore",
    "encoded": "mlic.images.encoded_store.EncodedStore",
    "files": "mlic.images.file_store.FileStore",
}
CHUNK = 256  # images that are in memory at a time


class ImageStore(MemmapObject):
    """Images, all of one size, with their ids; base class of the stores.

    Attributes
    ----------
    ids : ndarray
        Image ids; shape (n,), strings.
    size : int
        Side of the images, in pixels.
    fingerprint : str
        Fingerprint of ids and pixels, computed once, when the store is made.
    folder : Path or None
        Folder of the store; None where it is in memory only. A store with a folder is copied and
        sent to other processes as the folder's name.

    Examples
    --------
    >>> store = ImageStore.from_arrays(["a", "b"], np.zeros((2, 8, 8, 3), dtype=np.uint8))
    >>> len(store), store.size, store.rows(["b"]).tolist(), store.read([1]).shape
    (2, 8, [1], (1, 8, 8, 3))
    """

    fingerprint: str

    if TYPE_CHECKING:  # a dataclass would take an inherited property for the default of its field

        @property
        def ids(self) -> NDArray[np.str_]:
            """Image ids; shape (n,), strings."""

        @property
        def size(self) -> int:
            """Side of the images, in pixels."""

    @abstractmethod
    def read(self, rows: Any) -> NDArray[np.uint8]:
        """RGB pixels of some rows, given by number or as a slice; uint8, shape (B, H, W, 3).

        This is the only way in which mlic reads the pixels of a store. What is damaged, or is not
        there any more, raises `DataError`, whose field ``path`` names the file.
        """

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def exists(cls, folder: Path) -> bool:
        """Whether the folder holds a store of any kind, or of this one."""
        kinds = STORES if cls is ImageStore else (cls.kind,)
        return any((folder / f"{kind}.json").is_file() for kind in kinds)

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Open a store on disk; the base class opens a store of any kind."""
        if cls is not ImageStore:
            return super().open(folder)
        return cast("Self", _newest(Path(folder)).open(folder))

    @staticmethod
    def from_arrays(ids: Iterable[str], pixels: NDArray[np.uint8]) -> PixelStore:
        """Build a store of decoded images in memory."""
        # NumPy would make one object of a generator, so that it is read to a list first.
        names = np.asarray(list(ids), dtype=np.str_)
        side = pixels.shape[1] if pixels.ndim > 1 else 0
        return PixelStore(names, pixels, fingerprint_images(names, _digest_all(pixels), side))

    def digests(self) -> NDArray[np.uint64]:
        """`digest_bytes` of the pixels of each image; shape (n,), uint64."""
        chunks = range(0, len(self), CHUNK)
        found = [_digest_all(self.read(slice(start, start + CHUNK))) for start in chunks]
        return np.concatenate([np.zeros(0, dtype=np.uint64), *found])

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        return np.argsort(self.ids)

    def rows(self, ids: Iterable[str]) -> NDArray[np.intp]:
        """Row numbers of some images, in the order given.

        Raises
        ------
        DataError
            If an id is not in the store.
        """
        names = np.asarray([str(name) for name in ids], dtype=np.str_)
        # Not a dict, which would take a hundred times the memory of the order.
        places = np.searchsorted(self.ids, names, sorter=self._order)
        rows = self._order[np.minimum(places, len(self) - 1)] if len(self) else places
        unknown = names[self.ids[rows] != names] if len(self) else names
        if not len(unknown):
            return rows.astype(np.intp)
        place = f" {self.folder}" if self.folder else ""
        raise DataError(
            f"image {str(unknown[0])!r} is not among the {len(self)} images of the store{place}: "
            "decode the images again",
            name=str(unknown[0]),
        )


@dataclass(frozen=True, eq=False)
class PixelStore(ImageStore):
    """Decoded images: one array of pixels, memory-mapped if the store was opened from disk.

    Parameters
    ----------
    ids
        Image ids; shape (n,), strings.
    pixels
        RGB; uint8, shape (n, H, W, 3) with H = W. Read-only if the store was opened from disk.
    fingerprint, folder
        See `ImageStore`.

    Raises
    ------
    DataError
        If ids and pixels do not fit each other.
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

    def read(self, rows: Any) -> NDArray[np.uint8]:
        """Pixels of some rows; see `ImageStore.read`."""
        return read_rows(self.pixels, rows)


def digest_bytes(values: bytes | NDArray[Any]) -> int:
    """Fingerprint of bytes or of an array's values as a number below 2⁶⁴, for a column of them."""
    return int(fingerprint_parts(values), 16)


def _digest_all(pixels: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.fromiter(map(digest_bytes, pixels), dtype=np.uint64, count=len(pixels))


def fingerprint_images(ids: NDArray[np.str_], digests: NDArray[np.uint64], size: int) -> str:
    """Fingerprint of images: of their ids, their side in pixels, and `digest_bytes` of each."""
    # The separator appears in no id, so different lists of ids cannot give the same text.
    return fingerprint_parts("\x1f".join(ids.tolist()), f"\x1e{size}", digests.astype("<u8"))


def _class_of(kind: str) -> type[ImageStore]:
    module, _, name = STORES[kind].rpartition(".")
    found: type[ImageStore] = getattr(import_module(module), name)
    return found


def _newest(folder: Path) -> type[ImageStore]:
    """Class of the store in a folder; a writer that was interrupted may have left two."""
    files = {kind: folder / f"{kind}.npy" for kind in STORES}
    times = {kind: file.stat().st_mtime_ns for kind, file in files.items() if file.is_file()}
    return _class_of(max(times, key=lambda kind: times[kind], default="pixels"))

"""Images decoded once: one memory-mapped array with its ids and a fingerprint.

A store is a folder with ``pixels.npy`` and ``store.json``. The latter is written last and is
what makes the store valid, so an interrupted writer leaves none that looks whole.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mlic.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

__all__ = ["ImageStore"]

logger = logging.getLogger(__name__)

SCHEMA = 1  # raise it when decoding or the files change: older stores are then decoded anew
CHUNK_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class ImageStore:
    """Decoded images, all of one size, with their ids.

    Parameters
    ----------
    ids
        Image ids; shape (n,), strings.
    pixels
        RGB; uint8, shape (n, H, W, 3); a read-only memory-map where the store is opened from disk.
    fingerprint
        Sixteen hex digits over ids and pixels, computed once, when the store is made.
    folder
        Where the store lies, or None where it is in memory only. A store with a folder is
        copied and sent to other processes as that folder's name.

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

    ids: NDArray[np.str_]
    pixels: NDArray[np.uint8]
    fingerprint: str
    folder: Path | None = None

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.shape != (len(self.ids), *self._square, 3):
            raise DataError(
                f"{len(self.ids)} ids do not fit pixels of shape {self.pixels.shape} and type "
                f"{self.pixels.dtype}: give uint8 of shape (n, size, size, 3)"
            )

    @property
    def _square(self) -> tuple[int, int]:
        side = self.pixels.shape[1] if self.pixels.ndim == 4 else 0
        return side, side

    def __reduce__(self) -> tuple[Any, ...]:
        if self.folder is not None:
            return ImageStore.open, (self.folder,)
        return ImageStore, (self.ids, self.pixels, self.fingerprint)

    @classmethod
    def from_arrays(cls, ids: Iterable[str], pixels: NDArray[np.uint8]) -> Self:
        """Store in memory."""
        names = np.asarray(list(ids), dtype=np.str_)
        return cls(names, pixels, fingerprint_images(names, pixels))

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Open a store on disk, its pixels memory-mapped and read-only.

        Raises
        ------
        DataError
            If there is no whole store in the folder.
        """
        folder = Path(folder)
        about = read_about(folder)
        try:
            pixels = np.load(folder / "pixels.npy", mmap_mode="r", allow_pickle=False)
            return cls(np.asarray(about["ids"], np.str_), pixels, about["fingerprint"], folder)
        except (OSError, ValueError, KeyError, EOFError, DataError) as error:
            raise DataError(_damaged(folder, error)) from error

    @property
    def size(self) -> int:
        """Side of the images, in pixels."""
        return int(self.pixels.shape[1])

    def __len__(self) -> int:
        return len(self.ids)

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
            raise DataError(
                f"image {error} is not among the {len(self)} of the store"
                f"{f' {self.folder}' if self.folder else ''}: decode the images again"
            ) from None

    def save(self, folder: str | Path) -> ImageStore:
        """Write the store to a folder and open it there; nothing is done where it lies already."""
        folder = Path(folder)
        if self.folder is not None and self.folder.resolve() == folder.resolve():
            return self
        refuse_full_disk(folder, self.pixels.nbytes)
        with partial_pixels(folder, self.pixels.shape) as pixels:
            pixels[:] = self.pixels
        write_about(folder, {"ids": self.ids.tolist(), "fingerprint": self.fingerprint})
        return ImageStore.open(folder)


def fingerprint_images(ids: NDArray[np.str_], pixels: NDArray[np.uint8]) -> str:
    """Sixteen hex digits over ids and pixels, read in blocks."""
    digest = hashlib.sha256("\x1f".join(ids.tolist()).encode())
    digest.update(str(pixels.shape).encode())
    step = max(1, CHUNK_BYTES // max(1, pixels[:1].nbytes))
    for start in range(0, len(pixels), step):
        digest.update(np.ascontiguousarray(pixels[start : start + step]).data)
    return digest.hexdigest()[:16]


def refuse_full_disk(folder: Path, needed: int) -> None:
    """Say how large a store will be, and refuse to start what the disk cannot hold."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"the image store {folder} needs {needed / 1e6:.0f} MB but its disk has "
            f"{free / 1e6:.0f} MB free: make room or lower data.store_size"
        )
    logger.info("The image store %s takes %.1f MB.", folder, needed / 1e6)


@contextmanager
def partial_pixels(folder: Path, shape: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
    """Array on disk that takes its name only once it is filled; on failure nothing is left."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "pixels.npy.partial"
    try:
        pixels = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
        yield pixels
        pixels.flush()
        # Between the two replacements the folder must not look like a whole store.
        (folder / "store.json").unlink(missing_ok=True)
        os.replace(partial, folder / "pixels.npy")
    finally:
        partial.unlink(missing_ok=True)


def read_about(folder: Path) -> dict[str, Any]:
    """Content of ``store.json``."""
    try:
        about = json.loads((folder / "store.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(_damaged(folder, error)) from error
    if not isinstance(about, dict) or about.get("schema") != SCHEMA:
        raise DataError(_damaged(folder, "it is of another version of mlic"))
    return about


def write_about(folder: Path, about: dict[str, Any]) -> None:
    """Write ``store.json`` whole or not at all: it is what makes a store valid."""
    partial = folder / "store.json.partial"
    partial.write_text(json.dumps({"schema": SCHEMA} | about, indent=1), encoding="utf-8")
    os.replace(partial, folder / "store.json")


def _damaged(folder: Path, error: object) -> str:
    return (
        f"there is no whole image store in {folder} ({error}): "
        "delete that folder and run data_preparation again"
    )

"""From encoded images to a store on disk, made once and reused while its inputs are the same."""

from __future__ import annotations

import hashlib
import logging
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from mlic.errors import DataError
from mlic.images.decode import decode_images
from mlic.images.store import (
    SCHEMA,
    ImageStore,
    fingerprint_images,
    partial_pixels,
    read_about,
    refuse_full_disk,
    write_about,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from mlic.images.records import ImageRecords

__all__ = ["write_store"]

logger = logging.getLogger(__name__)


def write_store(
    folder: str | Path, raw: ImageRecords, size: int, workers: int | None = None
) -> tuple[ImageStore, pd.DataFrame]:
    """Decode images to a store on disk, or open the one already made from the same inputs.

    Pixels go straight to the disk: the images need not fit in memory. Files count as the same
    while path, size and time of change are; bytes, while their hash is. Of several processes that
    want the same folder, one writes; the others wait and open what it made.

    Parameters
    ----------
    folder
        Where the store is to lie; made if absent.
    raw
        The encoded images.
    size
        Side of the decoded squares, in pixels.
    workers
        Threads that decode; see `decode_images`.

    Returns
    -------
    store : ImageStore
        The readable images, in the order of ``raw``.
    quarantine : DataFrame
        The others: columns id, source, reason.

    Raises
    ------
    DataError
        If the disk has not room for the pixels, or no image at all is readable.
    """
    folder = Path(folder)
    inputs = fingerprint_inputs(raw, size)
    with _alone_in(folder):
        known = _matching(folder, inputs)
        if known is not None:
            logger.info("Images are decoded already: %s is reused.", folder)
            unreadable = known["quarantine"]
        else:
            unreadable = _decode_to(folder, raw, size, workers, inputs)
        return ImageStore.open(folder), _quarantine(raw, unreadable)


def _decode_to(
    folder: Path, raw: ImageRecords, size: int, workers: int | None, inputs: str
) -> list[tuple[str, str]]:
    """Write a store; return ids of unreadable images with reasons."""
    shape = (len(raw), size, size, 3)
    refuse_full_disk(folder, int(np.prod(shape, dtype=np.int64)))
    with partial_pixels(folder, shape) as pixels:
        unreadable = decode_images(raw, size, pixels, workers)
        kept = np.flatnonzero(~np.isin(raw.labels.ids, [name for name, _ in unreadable]))
        if not len(kept):
            raise DataError(f"none of the {len(raw)} images is readable: {unreadable[0][1]}")
        _move_up(pixels, kept)
        ids = raw.labels.ids[kept]
        fingerprint = fingerprint_images(ids, pixels[: len(kept)])
    _truncate(folder / "pixels.npy", (len(kept), size, size, 3))
    about = {"ids": ids.tolist(), "fingerprint": fingerprint}
    write_about(folder, about | {"inputs": inputs, "quarantine": unreadable})
    return unreadable


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("Another process is at work in %s: this one waits for it.", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def fingerprint_inputs(raw: ImageRecords, size: int) -> str:
    """Sixteen hex digits over what a store is made from, without decoding it."""
    digest = hashlib.sha256(f"{SCHEMA}\x1f{size}".encode())
    for name, source in zip(raw.labels.ids.tolist(), raw.sources, strict=True):
        digest.update(f"\x1e{name}\x1f".encode())
        digest.update(
            _state(source) if isinstance(source, Path) else hashlib.sha256(source).digest()
        )
    return digest.hexdigest()[:16]


def _state(path: Path) -> bytes:
    """Path, size and time of change; a missing file has a state too, and is quarantined later."""
    if not path.is_file():
        return f"{path} is missing".encode()
    status = path.stat()
    return f"{path}\x1f{status.st_size}\x1f{status.st_mtime_ns}".encode()


def _move_up(pixels: NDArray[np.uint8], kept: NDArray[np.intp]) -> None:
    """Close the gaps that unreadable images left; rows only ever move up, so none is lost."""
    for target, row in enumerate(kept.tolist()):
        if target != row:
            pixels[target] = pixels[row]


def _truncate(path: Path, shape: tuple[int, ...]) -> None:
    """Shorten an array on disk to its first rows, without a second copy of it."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with path.open("r+b") as file:
        # NumPy pads headers so that the number of rows may change in place.
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + int(np.prod(shape, dtype=np.int64)))


def _matching(folder: Path, inputs: str) -> dict[str, Any] | None:
    """Return what is known of a whole store of the same inputs, if there is one."""
    if not (folder / "store.json").is_file():
        return None
    try:
        about = read_about(folder)
        ImageStore.open(folder)
    except DataError as error:
        logger.warning("Images are decoded again: %s", error)
        return None
    if about.get("inputs") == inputs:
        return about
    logger.info("The images, their labels' ids or the size changed: %s is made anew.", folder)
    return None


def _quarantine(raw: ImageRecords, unreadable: list[tuple[str, str]]) -> pd.DataFrame:
    import pandas as pd

    reasons = dict(unreadable)
    rows = [
        (name, str(source) if isinstance(source, Path) else f"{len(source)} bytes", reasons[name])
        for name, source in zip(raw.labels.ids.tolist(), raw.sources, strict=True)
        if name in reasons
    ]
    return pd.DataFrame(rows, columns=["id", "source", "reason"], dtype="str")

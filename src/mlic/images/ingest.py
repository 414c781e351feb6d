"""From encoded images to a store on disk, made once and reused while its inputs are the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlic.caching.code_version import code_version
from mlic.caching.fingerprint import fingerprint_parts
from mlic.caching.memmap import open_memmap, shorten_memmap
from mlic.caching.store import ArtifactStore
from mlic.errors import DataError
from mlic.images.decode import decode_images
from mlic.images.store import ImageStore, fingerprint_images

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mlic.images.records import ImageRecords

__all__ = ["write_store"]


def write_store(
    folder: str | Path, raw: ImageRecords, size: int, workers: int | None = None
) -> tuple[ImageStore, pd.DataFrame]:
    """Decode images to a store on disk, or open the one already made from the same inputs.

    Pixels are written directly to the disk, so the images need not fit in memory. Files count as
    the same while path, size and time of change are; bytes count as the same while their hash is.
    If several processes want the same folder, one writes; the others wait and open what it made.
    Arguments are those of `mlic.images.decode.decode_images`.

    Returns
    -------
    store : ImageStore
        The readable images, in the order of ``raw``.
    quarantine : DataFrame
        The unreadable images: columns id, source, reason.

    Raises
    ------
    DataError
        If the disk has no room for the pixels, or no image at all is readable.
    """
    store, kind = ArtifactStore(Path(folder), "images"), ImageStore.kind
    code = code_version("mlic.images.decode")
    components = {"inputs": _fingerprint_inputs(raw), "size": size, "code": code}
    # The lookup is inside the lock: a process that waited finds what the other one made.
    with store.lock():
        if store.find(kind, components) is None:
            _decode(store, raw, size, workers, components)
        _, description = open_memmap(store.array_path(kind))
        return ImageStore.open(folder), _quarantine(raw, dict(description["quarantine"]))


def _decode(
    store: ArtifactStore,
    raw: ImageRecords,
    size: int,
    workers: int | None,
    components: dict[str, Any],
) -> None:
    """Write the store; the description lists unreadable images with reasons."""
    description: dict[str, Any] = {}
    # Space for all images, because nobody knows yet how many are readable.
    shape, advice = (len(raw), size, size, 3), "lower data.store_size"
    with store.fill(ImageStore.kind, components, shape, np.uint8, description, advice) as pixels:
        unreadable = decode_images(raw, size, pixels, workers)
        readable = np.flatnonzero(~np.isin(raw.labels.ids, [name for name, _ in unreadable]))
        if not len(readable):
            raise DataError(
                f"none of the {len(raw)} images is readable, the first because: {unreadable[0][1]}"
            )
        # The array can only be cut at its end, so unreadable images must not leave gaps.
        _move_up(pixels, readable)
        ids = raw.labels.ids[readable]
        description |= {
            "ids": ids.tolist(),
            "fingerprint": fingerprint_images(ids, pixels[: len(readable)]),
            "quarantine": unreadable,
        }
        shorten_memmap(pixels, len(readable))


def _fingerprint_inputs(raw: ImageRecords) -> str:
    """Fingerprint of the encoded images, computed without decoding them."""
    states = (_file_state(s) if isinstance(s, Path) else fingerprint_parts(s) for s in raw.sources)
    # The separators appear in no id, so different images cannot give the same text.
    pairs = zip(raw.labels.ids.tolist(), states, strict=True)
    return fingerprint_parts(*(f"\x1e{name}\x1f{state}" for name, state in pairs))


def _file_state(path: Path) -> str:
    """Path, size and time of change; a missing file has a state too, and is quarantined later."""
    if not path.is_file():
        return f"{path} is missing"
    status = path.stat()
    return f"{path}\x1f{status.st_size}\x1f{status.st_mtime_ns}"


def _move_up(pixels: NDArray[np.uint8], readable: NDArray[np.intp]) -> None:
    """Move the readable images to the first rows."""
    # Rows only move to smaller numbers, in order, so none is overwritten before it has moved.
    for target, row in enumerate(readable.tolist()):
        if target != row:
            pixels[target] = pixels[row]


def _quarantine(raw: ImageRecords, reasons: dict[str, str]) -> pd.DataFrame:
    import pandas as pd

    rows = [
        (name, str(source) if isinstance(source, Path) else f"{len(source)} bytes", reasons[name])
        for name, source in zip(raw.labels.ids.tolist(), raw.sources, strict=True)
        if name in reasons
    ]
    return pd.DataFrame(rows, columns=["id", "source", "reason"], dtype="str")

"""From encoded images to a store on disk, made once and reused while its inputs are the same."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mlic.caching.code_version import code_version
from mlic.caching.fingerprint import fingerprint_parts
from mlic.caching.memmap import open_memmap
from mlic.caching.store import ArtifactStore
from mlic.errors import ParameterError
from mlic.images.codec import Codec
from mlic.images.encoded_store import EncodedStore
from mlic.images.store import STORES, ImageStore
from mlic.images.store_choice import estimate_stores
from mlic.images.store_writers import WRITERS, Source

if TYPE_CHECKING:
    import pandas as pd

    from mlic.images.records import ImageRecords

__all__ = ["write_store"]

log = logging.getLogger(__name__)


def write_store(
    folder: str | Path,
    raw: ImageRecords,
    size: int,
    kind: Literal["pixels", "encoded", "files", "auto"] = "pixels",
    quality: int | None = None,
    workers: int | None = None,
) -> tuple[ImageStore, pd.DataFrame]:
    """Check all images and write a store, or open the one already made from the same inputs.

    Every image is decoded once, and none is kept in memory. Files count as the same while path,
    size and time of change are; bytes count as the same while their hash is. If several processes
    want the same folder, one writes; the others wait and open what it made. Before a store is
    made, the log says what each kind would take on the disk.

    Parameters
    ----------
    folder
        Folder of the store.
    raw
        The encoded images.
    size
        Side of the stored squares, in pixels.
    kind
        What is stored; ``"auto"`` is the kind that the folder has, or else the first of pixels,
        encoded and files that takes at most half of the free space.
    quality
        Of the encoded images; see `mlic.images.codec.Codec`.
    workers
        Number of threads; see `mlic.images.decode.count_threads`.

    Returns
    -------
    store : ImageStore
        The readable images, in the order of ``raw``.
    quarantine : DataFrame
        The unreadable images: columns id, source, reason.

    Raises
    ------
    DataError
        If the disk has no room for the store, or no image at all is readable.
    ParameterError
        If the images are to stay in their files and are in none.
    """
    if kind == "files" and not all(isinstance(source, Path) for source in raw.sources):
        raise ParameterError(
            "data.store is 'files', but the images are no files: the data set contains their "
            "bytes; set data.store to pixels, encoded or auto",
            parameter="data.store",
        )
    store, source = (
        ArtifactStore(Path(folder), "images"),
        Source(raw, size, Codec(quality), workers),
    )
    # The lookup is inside the lock: a process that waited finds what the other one made.
    with store.lock():
        found = _find(store, source, tuple(STORES) if kind == "auto" else (kind,))
        if found is None:
            found = estimate_stores(raw, size, source.codec).choose(kind, store.folder)
            WRITERS[found](store, _components(source, found), source)
        _, description = open_memmap(store.array_path(found))
        _delete_others(store, found)
        return ImageStore.open(folder), _quarantine(raw, dict(description["quarantine"]))


def _components(source: Source, kind: str) -> dict[str, Any]:
    """Everything that decides a store of a kind."""
    code = code_version("mlic.images.codec" if kind == "encoded" else "mlic.images.decode")
    own = {"quality": source.codec.quality} if kind == "encoded" else {}
    return {"inputs": _fingerprint_inputs(source.raw), "size": source.size, "code": code, **own}


def _find(store: ArtifactStore, source: Source, kinds: tuple[str, ...]) -> str | None:
    """First kind of which there is a complete store that was made from the same inputs."""
    for kind in kinds:
        # Of a kind that was never made here, the log has nothing to say.
        if not store.array_path(kind).is_file():
            continue
        if store.find(kind, _components(source, kind)) is None:
            continue
        if kind != "encoded" or EncodedStore.open(store.folder).is_complete():
            return kind
        log.warning("images: encoded is made again, for a shard is missing or has another size")
    return None


def _delete_others(store: ArtifactStore, kind: str) -> None:
    """Delete what other stores, and writers that were killed, left in the folder."""
    for other in set(STORES) - {kind}:
        for path in (store.array_path(other).with_suffix(".json"), store.array_path(other)):
            path.unlink(missing_ok=True)
    kept = set(EncodedStore.open(store.folder).shards) if kind == "encoded" else set()
    for path in set(store.folder.glob("encoded-*.bin")) - kept:
        path.unlink(missing_ok=True)


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


def _quarantine(raw: ImageRecords, reasons: dict[str, str]) -> pd.DataFrame:
    import pandas as pd

    rows = [
        (name, str(source) if isinstance(source, Path) else f"{len(source)} bytes", reasons[name])
        for name, source in zip(raw.labels.ids.tolist(), raw.sources, strict=True)
        if name in reasons
    ]
    return pd.DataFrame(rows, columns=["id", "source", "reason"], dtype="str")

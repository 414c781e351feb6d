"""Writers of the stores: each decodes every image once, and keeps of it what its store needs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mlic.caching.fingerprint import fingerprint_file, fingerprint_tree
from mlic.caching.memmap import shorten_memmap
from mlic.caching.store import ArtifactStore
from mlic.errors import DataError
from mlic.images.decode import decode_image, map_rows
from mlic.images.encoded_store import EncodedStore
from mlic.images.file_store import FileStore
from mlic.images.shards import ShardWriter
from mlic.images.store import PixelStore, digest_bytes, fingerprint_images

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlic.images.codec import Codec
    from mlic.images.indexed_store import IndexedStore
    from mlic.images.records import ImageRecords

__all__ = ["WRITERS", "Source"]

Kept = TypeVar("Kept")
Components = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """Images to store, and how; what is unreadable is listed while they are decoded."""

    raw: ImageRecords
    size: int
    codec: Codec
    workers: int | None = None
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    def decode(self, keep: Callable[[int, NDArray[np.uint8]], Kept]) -> Iterator[tuple[int, Kept]]:
        """Decode all images, and yield row and what is kept of each readable one, in order.

        `keep` is called in threads with row and pixels. No readable image raises `DataError`.
        """

        def decode_row(row: int) -> Kept | DataError:
            try:
                return keep(row, decode_image(self.raw.sources[row], self.size))
            except DataError as error:
                return error

        self.unreadable.clear()
        for row, kept in enumerate(map_rows(decode_row, len(self.raw), self.workers)):
            if isinstance(kept, DataError):
                self.unreadable.append((str(self.raw.labels.ids[row]), str(kept)))
            else:
                yield row, kept
        if len(self.unreadable) == len(self.raw):
            raise DataError(
                f"none of the {len(self.raw)} images is readable, the first because: "
                f"{self.unreadable[0][1]}"
            )


def _write_pixels(store: ArtifactStore, components: Components, source: Source) -> None:
    description: dict[str, Any] = {}
    # Space for all images, because nobody knows yet how many are readable.
    shape = (len(source.raw), source.size, source.size, 3)
    advice = "lower data.store_size, or set data.store to encoded, files or auto"
    with store.fill(PixelStore.kind, components, shape, np.uint8, description, advice) as pixels:

        def keep(row: int, image: NDArray[np.uint8]) -> int:
            pixels[row] = image
            return digest_bytes(image)

        made = list(source.decode(keep))
        rows, digests = np.asarray([row for row, _ in made]), [digest for _, digest in made]
        # The array can only be cut at its end, so unreadable images must not leave gaps.
        _move_up(pixels, rows)
        ids = source.raw.labels.ids[rows]
        fingerprint = fingerprint_images(ids, np.asarray(digests, np.uint64), source.size)
        description |= {"ids": ids.tolist(), "fingerprint": fingerprint}
        description["quarantine"] = source.unreadable
        shorten_memmap(pixels, len(rows))


def _move_up(pixels: NDArray[np.uint8], readable: NDArray[np.intp]) -> None:
    """Move the readable images to the first rows."""
    # Rows only move to smaller numbers, in order, so none is overwritten before it has moved.
    for target, row in enumerate(readable.tolist()):
        if target != row:
            pixels[target] = pixels[row]


def _write_encoded(store: ArtifactStore, components: Components, source: Source) -> None:
    def keep(_: int, image: NDArray[np.uint8]) -> tuple[bytes, int]:
        payload = source.codec.encode(image)
        # What reading will give, which differs from the image if it is encoded with loss.
        decoded = source.codec.decode(np.frombuffer(payload, dtype=np.uint8).copy())
        return payload, digest_bytes(decoded)

    # A name of their own, so that an earlier store stays whole until the new one is.
    prefix, made = f"encoded-{fingerprint_tree(components)}", []
    with ShardWriter(store.folder, prefix) as shards:
        for row, (payload, digest) in source.decode(keep):
            shard, start = shards.append(payload)
            made.append((row, (digest_bytes(payload), start, len(payload), shard, digest)))
    place = {"quality": source.codec.quality, "shards": shards.sizes}
    _write_index(store, components, source, EncodedStore, made, place)


def _write_files(store: ArtifactStore, components: Components, source: Source) -> None:
    paths = [path for path in source.raw.sources if isinstance(path, Path)]
    folder = Path(os.path.commonpath([path.parent for path in paths]))

    def keep(row: int, image: NDArray[np.uint8]) -> tuple[Any, ...]:
        path = paths[row]
        if (digest := fingerprint_file(path)) is None:
            raise DataError("the file is missing")  # since it was decoded
        name = os.fsencode(path.relative_to(folder))
        return int(digest, 16), path.stat().st_size, name, digest_bytes(image)

    made = list(source.decode(keep))
    width = max(len(columns[2]) for _, columns in made)
    _write_index(store, components, source, FileStore, made, str(folder), path=f"S{width}")


def _write_index(
    store: ArtifactStore,
    components: Components,
    source: Source,
    kind: type[IndexedStore],
    made: list[tuple[int, tuple[Any, ...]]],
    place: Any,
    **columns: str,
) -> None:
    """Write the index, which makes the store valid; `made` has row and columns of each image."""
    ids = source.raw.labels.ids
    entries = [(*own, ids[row]) for row, own in made]
    index = np.asarray(entries, dtype=kind.dtype(ids, **columns))
    fingerprint = fingerprint_images(index["id"], index["pixels"], source.size)
    about = kind(index, source.size, fingerprint, place).describe()
    about["quarantine"] = source.unreadable
    with store.fill(kind.kind, components, index.shape, index.dtype, about) as stored:
        stored[...] = index


WRITERS: dict[str, Callable[[ArtifactStore, Components, Source], None]] = {
    "pixels": _write_pixels,
    "encoded": _write_encoded,
    "files": _write_files,
}

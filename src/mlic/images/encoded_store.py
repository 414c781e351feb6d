"""Encoded images in shards: a fraction of the disk space of decoded ones."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mlic.caching.atomic import atomic_write
from mlic.caching.blocks import damaged
from mlic.images.codec import Codec
from mlic.images.indexed_store import IndexedStore
from mlic.images.shards import read_record
from mlic.images.store import digest_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

__all__ = ["EncodedStore"]


@dataclass(frozen=True, eq=False)
class EncodedStore(IndexedStore):
    """Images encoded by a `Codec`, in shards; see `IndexedStore`.

    ``place`` has the ``quality`` of the codec, and the size in bytes of each of the ``shards`` by
    name. The digest of an image is compared each time that it is read.
    """

    kind: ClassVar[str] = "encoded"
    columns: ClassVar[Sequence[tuple[str, DTypeLike]]] = (
        ("digest", "<u8"),  # of the encoded image
        ("start", "<u8"),  # in its shard
        ("bytes", "<u4"),
        ("shard", "<u4"),
    )

    @cached_property
    def shards(self) -> list[Path]:
        """Files of the encoded images."""
        assert self.folder is not None
        return [self.folder / name for name in self.place["shards"]]

    @cached_property
    def _codec(self) -> Codec:
        return Codec(self.place["quality"])

    def is_complete(self) -> bool:
        """Whether every shard is there and has the size that it was written with."""
        sizes = [path.stat().st_size if path.is_file() else -1 for path in self.shards]
        return sizes == list(self.place["shards"].values())

    def _decode(self, entry: np.void) -> NDArray[np.uint8]:
        path = self.shards[entry["shard"]]
        payload = read_record(path, int(entry["start"]), int(entry["bytes"]))
        if digest_bytes(payload) != entry["digest"]:
            raise damaged(path, f"the image {entry['id']} is not what was written")
        return self._codec.decode(payload)

    def save(self, folder: str | Path) -> None:
        """Copy the store to a folder."""
        for path in self.shards:
            if (target := Path(folder) / path.name).resolve() != path.resolve():
                with atomic_write(target) as partial:
                    shutil.copyfile(path, partial)
        super().save(folder)

"""What each kind of store would take on the disk, and which one there is room for."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlic.caching.atomic import require_free_space
from mlic.errors import DataError
from mlic.images.decode import decode_image

if TYPE_CHECKING:
    from mlic.images.codec import Codec
    from mlic.images.records import ImageRecords

__all__ = ["StoreSizes", "estimate_stores"]

log = logging.getLogger(__name__)

SAMPLES = 32  # images that are encoded for an estimate
LARGEST_SHARE = 0.5  # of the free space: models, targets and other programs need some too


class StoreSizes(NamedTuple):
    """Bytes on the disk of each kind of store.

    Parameters
    ----------
    pixels
        Exact, unless images are unreadable.
    encoded
        Extrapolated from some images.
    files
        None where the images are in no files of their own.
    codec
        How images are encoded.
    """

    pixels: int
    encoded: int
    files: int | None
    codec: Codec

    def choose(self, kind: str, folder: Path) -> str:
        """Log what each kind would take, and return the kind; of ``auto``, what there is room for.

        Raises
        ------
        DataError
            If there is no room for the store, or for none of them.
        """
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        sizes = {"pixels": self.pixels, "encoded": self.encoded, "files": self.files}
        fitting = [
            name
            for name, size in sizes.items()
            if size is not None and size <= LARGEST_SHARE * free
        ]
        if kind == "auto" and not fitting:
            raise DataError(
                f"no store of the images takes at most half of the {_show(free)} that are "
                f"free in {folder} ({self._list()}): free some space, lower data.store_size, or "
                "set data.store to encoded and a data.store_quality",
                path=folder,
                expected=self.encoded,
                found=free,
            )
        chosen = fitting[0] if kind == "auto" else kind
        log.info(
            "Images on the disk: %s; %s are free; data.store is %s%s",
            self._list(),
            _show(free),
            kind,
            f", which takes {chosen}" if kind == "auto" else "",
        )
        if chosen == "encoded":  # the writer of pixels checks what it allocates
            advice = "lower data.store_size, give a data.store_quality, or set data.store to files"
            require_free_space(folder, self.encoded, "the encoded images", advice)
        return chosen

    def _list(self) -> str:
        files = "files nothing but a list" if self.files is not None else "no files to read from"
        encoded = f"encoded about {_show(self.encoded)} ({self.codec.name})"
        return f"pixels {_show(self.pixels)}, {encoded}, {files}"


def estimate_stores(raw: ImageRecords, size: int, codec: Codec) -> StoreSizes:
    """Estimate the bytes of each kind of store, from some images that are encoded in memory."""
    rows = np.linspace(0, len(raw) - 1, min(len(raw), SAMPLES)).astype(int)
    encoded = []
    for row in np.unique(rows).tolist():
        try:
            encoded.append(len(codec.encode(decode_image(raw.sources[row], size))))
        except DataError:  # is reported when all images are read
            continue
    pixels = len(raw) * size * size * 3
    in_files = all(isinstance(source, Path) for source in raw.sources)
    mean = float(np.mean(encoded)) if encoded else size * size * 3
    return StoreSizes(pixels, round(len(raw) * mean), 0 if in_files else None, codec)


def _show(number: int) -> str:
    unit, name = next((u for u in ((10**12, "TB"), (10**9, "GB")) if number >= u[0]), (10**6, "MB"))
    return f"{number / unit:.1f} {name}"

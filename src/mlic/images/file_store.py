"""Images that stay in their files, which are read and decoded each time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mlic.errors import DataError
from mlic.images.decode import decode_image
from mlic.images.indexed_store import IndexedStore
from mlic.images.store import digest_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

__all__ = ["FileStore"]

_CURE = "data.store encoded keeps copies"


@dataclass(frozen=True, eq=False)
class FileStore(IndexedStore):
    """The places of image files; see `IndexedStore`.

    ``place`` is the folder at which the paths of the index start. The content of a file is compared
    with its digest each time that it is read.
    """

    kind: ClassVar[str] = "files"
    columns: ClassVar[Sequence[tuple[str, DTypeLike]]] = (
        ("digest", "<u8"),  # of the file
        ("bytes", "<u8"),
    )

    def _decode(self, entry: np.void) -> NDArray[np.uint8]:
        path = Path(self.place) / os.fsdecode(bytes(entry["path"]))
        try:
            # The size is compared first, because what took the place of an image may be huge.
            same_size = path.stat().st_size == entry["bytes"]
            content = path.read_bytes() if same_size else b""
        except OSError as error:
            raise DataError(
                f"{path} cannot be read any more ({type(error).__name__}), although the image was "
                "there when the run prepared its data: restore the file, or leave it out of the "
                f"data set and run the same command again; {_CURE}",
                path=path,
            ) from error
        if not same_size or digest_bytes(content) != entry["digest"]:
            raise DataError(
                f"{path} is not the file it was when the run prepared its data: restore it, or run "
                f"the same command again, which reads the new one; {_CURE}",
                path=path,
            )
        return decode_image(content, self.size)

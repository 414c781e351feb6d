"""Reading of image files into memory, without a catalog."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mlic.errors import DataError
from mlic.images.decode import decode_sources
from mlic.images.store import ImageStore, PixelStore

__all__ = ["read_images"]


def read_images(
    paths: Iterable[str | Path], size: int = 224, workers: int | None = None
) -> PixelStore:
    """Read image files as squares of RGB pixels, decoded as `mlic.images.decode.decode_image` does.

    Parameters
    ----------
    paths
        The files.
    size
        Side of the squares, in pixels.
    workers
        Number of threads; by default that of the processors, at most 16.

    Returns
    -------
    PixelStore
        The images in memory, in the order given; their ids are the paths.

    Raises
    ------
    DataError
        If a file is missing or unreadable. The field ``path`` names it.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> path = Path(tempfile.mkdtemp()) / "grey.png"
    >>> Image.new("RGB", (40, 30), (128, 128, 128)).save(path)
    >>> images = read_images([path], size=8)
    >>> images.pixels.shape, images.pixels[0, 0, 0].tolist()
    ((1, 8, 8, 3), [128, 128, 128])
    """
    files = [Path(path) for path in paths]
    # One allocation for all images; threads write to different rows of it.
    pixels = np.zeros((len(files), size, size, 3), dtype=np.uint8)
    for file, reason in zip(files, decode_sources(files, size, pixels, workers), strict=True):
        if reason is not None:
            raise DataError(f"{file} cannot be read: {reason}", path=file)
    return ImageStore.from_arrays([str(file) for file in files], pixels)

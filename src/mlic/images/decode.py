"""From encoded images to one array of pixels; what cannot be read is recorded, not fatal."""

from __future__ import annotations

import io
import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mlic.errors import DataError
from mlic.utils.progress import progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlic.images.records import ImageRecords

__all__ = ["decode_image", "decode_images"]

# What Pillow's readers raise on damaged files; anything else is a bug and is not hidden.
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def decode_image(source: bytes | Path, size: int) -> NDArray[np.uint8]:
    """Decode one image to a square of RGB pixels.

    The image is turned upright by its EXIF orientation and resized, antialiased bilinear,
    without keeping its aspect, as is usual for multi-label training. Transparency is dropped.

    Parameters
    ----------
    source
        The file, or its encoded bytes.
    size
        Side of the square, in pixels.

    Returns
    -------
    ndarray of uint8, shape (size, size, 3)

    Raises
    ------
    DataError
        If the image is missing, damaged, cut short, larger than
        ``PIL.Image.MAX_IMAGE_PIXELS``, or deeper than 8 bits a channel.

    Examples
    --------
    >>> buffer = io.BytesIO()
    >>> Image.new("L", (4, 2), 255).save(buffer, "png")
    >>> decode_image(buffer.getvalue(), 8).shape
    (8, 8, 3)
    """
    try:
        with Image.open(source if isinstance(source, Path) else io.BytesIO(source)) as image:
            _refuse_unfit(image)
            upright = _to_rgb(ImageOps.exif_transpose(image))
    except UNREADABLE as error:
        raise DataError(_reason(error)) from error
    return np.asarray(upright.resize((size, size), Image.Resampling.BILINEAR))


def _refuse_unfit(image: Image.Image) -> None:
    """Refuse what would fill the memory or has no one conversion to 8-bit RGB."""
    pixels, limit = image.width * image.height, Image.MAX_IMAGE_PIXELS
    if limit is not None and pixels > limit:
        raise DataError(f"has {pixels} pixels, more than the safe limit of {limit}")
    if image.mode.startswith(("I", "F")):
        raise DataError(f"has more than 8 bits a channel (mode {image.mode}): convert it to 8 bits")


def _to_rgb(image: Image.Image) -> Image.Image:
    if "transparency" in image.info:  # Pillow's way past palettes with transparency
        image = image.convert("RGBA")
    return image.convert("RGB")


def _reason(error: BaseException) -> str:
    """One line, without the addresses of buffers that Pillow puts in."""
    if isinstance(error, FileNotFoundError):
        return "the file is missing"
    if isinstance(error, UnidentifiedImageError):
        return "is not an image in a known format"
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'damaged'}"


def decode_images(
    raw: ImageRecords, size: int, out: NDArray[np.uint8], workers: int | None = None
) -> list[tuple[str, str]]:
    """Decode every image into its row of an array.

    Parameters
    ----------
    raw
        The encoded images; n of them.
    size
        Side of the squares, in pixels.
    out
        Filled in place; uint8, shape (n, size, size, 3), usually a memory-map. Rows of
        unreadable images are left as they are.
    workers
        Threads; by default as many as there are processors, 16 at most. Pillow decodes and
        resizes outside Python's lock.

    Returns
    -------
    list of (id, reason)
        The unreadable images, in the order of ``raw``.

    Examples
    --------
    >>> from mlic.images.records import ImageRecords
    >>> from mlic.labels import LabelMatrix, LabelSpace
    >>> raw = ImageRecords(LabelMatrix(LabelSpace(("cat",)), ["a"], [[1]], [""]), [b"no image"])
    >>> decode_images(raw, 8, np.zeros((1, 8, 8, 3), dtype=np.uint8))
    [('a', 'is not an image in a known format')]
    """

    def decode_row(row: int) -> str | None:
        """Decode one image; return what is wrong with it."""
        try:
            out[row] = decode_image(raw.sources[row], size)
        except DataError as error:
            return str(error)
        return None

    pool = ThreadPoolExecutor(workers or min(os.cpu_count() or 1, 16))
    try:
        decoded = pool.map(decode_row, range(len(raw)))
        reasons = list(progress(decoded, what="decoding", unit="image", total=len(raw)))
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt ends soon, not after the last image
    return [(str(raw.labels.ids[i]), why) for i, why in enumerate(reasons) if why is not None]

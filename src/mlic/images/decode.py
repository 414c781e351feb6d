"""Decoding of images to arrays of pixels; unreadable images are recorded."""

from __future__ import annotations

import io
import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from mlic.errors import DataError
from mlic.utils.progress import progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlic.images.records import ImageRecords

__all__ = ["ImageSource", "decode_image", "decode_images", "decode_sources"]

# a file, its encoded bytes, or an image in memory
ImageSource: TypeAlias = bytes | Path | Image.Image | NDArray[np.uint8]

# Raised by Pillow's decoders for damaged files. Anything else is a bug and must not be hidden.
# fmt: off
UNREADABLE = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, OverflowError, struct.error,
    zlib.error, Image.DecompressionBombError, Image.DecompressionBombWarning,
)
# fmt: on


def decode_image(source: ImageSource, size: int) -> NDArray[np.uint8]:
    """Decode one image to a square of RGB pixels.

    The image is turned upright by its EXIF orientation and resized (bilinear, antialiased) without
    keeping its aspect ratio, as usual for multi-label training. Transparency is dropped.

    Parameters
    ----------
    source
        The file, its encoded bytes, an image of Pillow, or RGB pixels as an array of the shape
        (H, W, 3), uint8.
    size
        Side of the square, in pixels; the result is uint8, shape (size, size, 3).

    Raises
    ------
    DataError
        If the image is missing, damaged, truncated, larger than ``PIL.Image.MAX_IMAGE_PIXELS``, or
        has more than 8 bits per channel, or an array has another shape or type.
    """
    try:
        with _open(source) as image:
            _refuse_unfit(image)  # before any pixel is decoded
            upright = _to_rgb(ImageOps.exif_transpose(image))
    except UNREADABLE as error:
        raise DataError(_reason(error)) from error
    # After conversion: palette indices must not be interpolated.
    return np.asarray(upright.resize((size, size), Image.Resampling.BILINEAR))


def _open(source: ImageSource) -> AbstractContextManager[Image.Image]:
    """Open an image; one that was in memory already is not closed afterwards."""
    if isinstance(source, Image.Image):
        return nullcontext(source)
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3:
            raise DataError(
                f"an array of shape {source.shape} and type {source.dtype} is no RGB image: give "
                "uint8 of shape (H, W, 3)",
                found=source.shape,
            )
        return nullcontext(Image.fromarray(source))
    return Image.open(source if isinstance(source, Path) else io.BytesIO(source))


def _refuse_unfit(image: Image.Image) -> None:
    """Refuse images that would exhaust memory or have no defined conversion to 8-bit RGB."""
    pixels, limit = image.width * image.height, Image.MAX_IMAGE_PIXELS
    if limit is not None and pixels > limit:
        raise DataError(
            f"has {pixels} pixels, more than the safe limit of {limit}",
            found=pixels,
            expected=limit,
        )
    if image.mode.startswith(("I", "F")):
        raise DataError(
            f"has more than 8 bits per channel (mode {image.mode}): convert it", found=image.mode
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert to RGB without the alpha channel."""
    # Pillow warns when a palette with transparency is converted to RGB directly.
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def _reason(error: BaseException) -> str:
    """Return one line, without the memory addresses in some of Pillow's messages."""
    if isinstance(error, FileNotFoundError):
        return "the file is missing"
    if isinstance(error, UnidentifiedImageError):
        return "is not an image in a known format"
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'damaged'}"


def decode_images(
    raw: ImageRecords, size: int, out: NDArray[np.uint8], workers: int | None = None
) -> list[tuple[str, str]]:
    """Decode every image into its row of an array; return id and reason of the unreadable ones.

    Parameters
    ----------
    raw
        The encoded images; n of them.
    size
        Side of the squares, in pixels.
    out
        Filled in place; uint8, shape (n, size, size, 3), usually a memory map. Rows of
        unreadable images are not changed.
    workers
        Number of threads; by default that of the processors, at most 16.
    """
    reasons = decode_sources(raw.sources, size, out, workers)
    return [(str(raw.labels.ids[i]), why) for i, why in enumerate(reasons) if why is not None]


def decode_sources(
    sources: Sequence[ImageSource], size: int, out: NDArray[np.uint8], workers: int | None = None
) -> list[str | None]:
    """Return what is wrong with each image, None if it was decoded; see `decode_images`."""

    def decode_row(row: int) -> str | None:
        try:
            out[row] = decode_image(sources[row], size)
        except DataError as error:
            return str(error)
        return None

    # Threads suffice, because Pillow decodes and resizes without holding the interpreter lock.
    pool = ThreadPoolExecutor(workers or min(os.cpu_count() or 1, 16))
    try:
        decoded = pool.map(decode_row, range(len(sources)))
        return list(progress(decoded, what="decoding", unit="image", total=len(sources)))
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt must not wait for the images to come

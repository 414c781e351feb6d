"""Decoding of images to arrays of pixels; unreadable images are recorded."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from mlic.errors import DataError, MlicError
from mlic.utils.progress import progress

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ImageSource", "count_threads", "decode_image", "decode_sources", "map_rows"]

# a file, its encoded bytes, or an image in memory
ImageSource: TypeAlias = bytes | Path | Image.Image | NDArray[np.uint8]

# Pillow opens many more, some by calling other programs (Ghostscript for an EPS named .jpg).
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")

# What all threads together may have in memory, in bytes; one image alone may need as much.
MAX_DECODED_BYTES = 10**9
BYTES_PER_PIXEL = 4  # of Pillow's images, greyscale and palettes apart

Made = TypeVar("Made")
_AT_A_TIME = 512  # rows that are given to threads together
_HAS_AFFINITY = hasattr(os, "sched_getaffinity")  # not on macOS

_ORIENTATION = 0x0112  # tag of EXIF
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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
        If the image is missing, damaged, truncated, in a format other than `FORMATS`, larger than
        ``PIL.Image.MAX_IMAGE_PIXELS``, or has more than 8 bits per channel, or an array has another
        shape or type.
    """
    with _decoder_errors(source), _open(source) as image:
        _refuse_unfit(image)  # before any pixel is decoded
        turn = _TURNS.get(_read_orientation(image))
        copies = 2 + (turn is not None)
        with _memory.reserve(image.width * image.height * BYTES_PER_PIXEL * copies):
            image.load()
            upright = _to_rgb(image)
            if turn is not None:
                upright = upright.transpose(turn)
            # After conversion: palette indices must not be interpolated.
            return np.asarray(upright.resize((size, size), Image.Resampling.BILINEAR))


@contextmanager
def _decoder_errors(source: ImageSource) -> Iterator[None]:
    """Turn whatever a decoder raises into the reason why the image is left out."""
    try:
        yield
    except DataError:
        raise
    except MemoryError as error:  # the image may be good
        place = source if isinstance(source, Path) else "an image"
        raise MlicError(
            f"memory ran out while {place} was decoded: end other programs, or raise the limit of "
            f"this one; {MAX_DECODED_BYTES / 1e9:.0f} GB are enough for decoding"
        ) from error
    # Decoders raise errors of many kinds for damaged files; each is a reason to leave one out.
    except Exception as error:
        raise DataError(_reason(error)) from error


def _read_orientation(image: Image.Image) -> int:
    """Read the orientation alone: other entries of EXIF may be damaged without harm."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # what is stored is no EXIF, so that it says nothing about the orientation
        return 1


class _MemoryBudget:
    """So many bytes, which threads reserve before they use them."""

    def __init__(self, size: int) -> None:
        self._free, self._size = size, size
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, number: int) -> Iterator[None]:
        """Wait until so many bytes are free; more than there are count as all."""
        number = min(number, self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= number)
            self._free -= number
        try:
            yield
        finally:
            with self._changed:
                self._free += number
                self._changed.notify_all()


_memory = _MemoryBudget(MAX_DECODED_BYTES)


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
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    return Image.open(file, formats=FORMATS)


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
    return image if image.mode == "RGB" else image.convert("RGB")


def _reason(error: BaseException) -> str:
    """Return one line, without the memory addresses in some of Pillow's messages."""
    if isinstance(error, FileNotFoundError):
        return "the file is missing"
    if isinstance(error, UnidentifiedImageError):
        return f"is no image in one of the formats {', '.join(FORMATS)}"
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'damaged'}"


def count_threads() -> int:
    """Number of threads that decode: that of the processors this process may use, at most 16."""
    return min(len(os.sched_getaffinity(0)) if _HAS_AFFINITY else os.cpu_count() or 1, 16)


def map_rows(
    function: Callable[[int], Made], number: int, workers: int | None = None
) -> Iterator[Made]:
    """Compute a function of 0, 1, … in threads; yield the results in order, with a progress bar.

    Few results are in memory at a time. `workers` is the number of threads, by default
    `count_threads`.
    """
    # Threads suffice, because Pillow decodes and resizes without holding the interpreter lock.
    pool = ThreadPoolExecutor(workers or count_threads())
    parts = (
        range(start, min(start + _AT_A_TIME, number)) for start in range(0, number, _AT_A_TIME)
    )
    made = (one for part in parts for one in pool.map(function, part))
    try:
        yield from progress(made, what="decoding", unit="image", total=number)
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt must not wait for the images to come


def decode_sources(
    sources: Sequence[ImageSource], size: int, out: NDArray[np.uint8], workers: int | None = None
) -> list[str | None]:
    """Decode every image into its row of an array; return what is wrong with each, or None.

    Parameters
    ----------
    sources
        The images; n of them.
    size
        Side of the squares, in pixels.
    out
        Filled in place; uint8, shape (n, size, size, 3). Rows of unreadable images are not changed.
    workers
        Number of threads; see `count_threads`.
    """

    def decode_row(row: int) -> str | None:
        try:
            out[row] = decode_image(sources[row], size)
        except DataError as error:
            return str(error)
        return None

    return list(map_rows(decode_row, len(sources), workers))

"""Decoding of images ahead of the model."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from mlic.errors import DataError
from mlic.images.decode import ImageSource, decode_image

__all__ = ["decode_batches"]

_AHEAD = 2  # batches that are decoded or waiting while the model computes
_MAX_WORKERS = 16

Decoded = tuple[NDArray[np.uint8], list[str | None]]


def decode_batches(
    sources: Iterable[ImageSource], size: int, batch_size: int, workers: int | None = None
) -> Iterator[Decoded]:
    """Decode images to squares, batch by batch, in threads that work ahead.

    Parameters
    ----------
    sources
        The images; only a few batches of them are held at a time.
    size
        Side of the squares, in pixels.
    batch_size
        Images in a batch; the last one may have fewer.
    workers
        Number of threads; by default that of the processors, at most 16.

    Yields
    ------
    pixels : numpy.ndarray
        RGB; uint8, shape (B, size, size, 3). Rows of unreadable images are zero.
    reasons : list
        What is wrong with each image; None if it was decoded.
    """
    pool = ThreadPoolExecutor(workers or min(os.cpu_count() or 1, _MAX_WORKERS))
    waiting: deque[list[Future[NDArray[np.uint8] | str]]] = deque()
    try:
        remaining = iter(sources)
        while batch := list(islice(remaining, batch_size)):
            waiting.append([pool.submit(_decode, source, size) for source in batch])
            if len(waiting) > _AHEAD:
                yield _collect(waiting.popleft(), size)
        while waiting:
            yield _collect(waiting.popleft(), size)
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt must not wait for the images to come


def _decode(source: ImageSource, size: int) -> NDArray[np.uint8] | str:
    """Pixels of one image, or what is wrong with it."""
    try:
        return decode_image(source, size)
    except DataError as error:
        return str(error)


def _collect(decoded: list[Future[NDArray[np.uint8] | str]], size: int) -> Decoded:
    pixels, reasons = np.zeros((len(decoded), size, size, 3), np.uint8), list[str | None]()
    for row, future in enumerate(decoded):
        found = future.result()
        reasons.append(found if isinstance(found, str) else None)
        if not isinstance(found, str):
            pixels[row] = found
    return pixels, reasons

"""Encoding of decoded images: WebP without loss, or JPEG of a given quality.

Of the encodings without loss, WebP is smaller and faster to decode than PNG
(benchmarks/image_stores.py). torchvision decodes, because it releases the interpreter lock, which
Pillow holds while it decodes WebP. Both give the same pixels.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

__all__ = ["Codec"]

log = logging.getLogger(__name__)


class Codec(NamedTuple):
    """Encoder and decoder of squares of RGB pixels.

    Parameters
    ----------
    quality
        Quality of JPEG, from 1 to 100; None encodes without loss.

    Examples
    --------
    >>> pixels = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    >>> payload = np.frombuffer(Codec().encode(pixels), dtype=np.uint8).copy()
    >>> np.array_equal(Codec().decode(payload), pixels)
    True
    """

    quality: int | None = None

    @property
    def name(self) -> str:
        """Name of the format, for messages."""
        return "WebP without loss" if self.quality is None else f"JPEG of quality {self.quality}"

    def encode(self, pixels: NDArray[np.uint8]) -> bytes:
        """Encode one image; shape (H, W, 3), uint8."""
        file, image = io.BytesIO(), Image.fromarray(pixels)
        if self.quality is None:
            # Method 4, the default, takes 12 times as long for a tenth of the bytes.
            image.save(file, "WEBP", lossless=True, method=0)
        else:
            image.save(file, "JPEG", quality=self.quality, subsampling=0)  # colours are labels too
        return file.getvalue()

    def decode(self, payload: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Decode one image to the shape (H, W, 3), uint8."""
        decode_webp, decode_jpeg = _decoders()
        return (decode_webp if self.quality is None else decode_jpeg)(payload)


Decoder = Callable[["NDArray[np.uint8]"], "NDArray[np.uint8]"]


@cache
def _decoders() -> tuple[Decoder, Decoder]:
    """Decoders of WebP and of JPEG: torchvision's, or Pillow's where these do not work."""
    # torchvision is built for one version of torch, and will leave decoding to another library.
    probe = np.zeros((1, 1, 3), dtype=np.uint8)
    try:
        from torchvision.io import decode_jpeg, decode_webp

        decoders = _on_arrays(decode_webp), _on_arrays(decode_jpeg)
        for decode, quality in zip(decoders, (None, 90), strict=True):
            decode(np.frombuffer(Codec(quality).encode(probe), dtype=np.uint8).copy())
    except (ImportError, RuntimeError, AttributeError) as error:
        log.warning(
            "torchvision cannot decode WebP and JPEG here (%s: %s), so that Pillow decodes the "
            "images of the store, one at a time: install builds of torch and torchvision that "
            "belong together",
            type(error).__name__,
            str(error).partition("\n")[0],
        )
        return _decode_by_pillow, _decode_by_pillow
    return decoders


def _on_arrays(decode: Callable[[torch.Tensor], torch.Tensor]) -> Decoder:
    """Let one of torchvision's decoders take and give arrays."""
    import torch

    def decode_array(payload: NDArray[np.uint8]) -> NDArray[np.uint8]:
        # channels first, as a view of pixels that lie channels last
        pixels: NDArray[np.uint8] = decode(torch.from_numpy(payload)).permute(1, 2, 0).numpy()
        return pixels

    return decode_array


def _decode_by_pillow(payload: NDArray[np.uint8]) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(payload.tobytes())) as image:
        return np.asarray(image)

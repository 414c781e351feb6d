"""Small images as data URLs, for pages that contain all they show."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["SIDE", "encode_image", "resize_image"]

SIDE = 144  # pixels; shown smaller, so that it is sharp on screens with a high resolution


def resize_image(pixels: NDArray[np.uint8]) -> Image.Image:
    """Resize an image to ``SIDE`` × ``SIDE`` pixels; ``pixels`` has shape (H, W, 3)."""
    return Image.fromarray(np.asarray(pixels)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def encode_image(image: Image.Image) -> str:
    """Encode an image as a JPEG data URL, for the ``src`` attribute of an HTML image."""
    file = io.BytesIO()
    # As PNG, photographs would be several times as large.
    image.save(file, format="JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"

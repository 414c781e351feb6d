"""Encodings of one image, and the libraries that decode them."""

from __future__ import annotations

import io
import statistics
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from trainings import cpu_seconds

__all__ = ["codec_rows"]

Decoder = Callable[[bytes], Any]

ENCODINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "WebP without loss, method 0": ("WEBP", {"lossless": True, "method": 0}),
    "WebP without loss, method 4": ("WEBP", {"lossless": True, "method": 4}),
    "PNG, level 1": ("PNG", {"compress_level": 1}),
    "PNG, level 6": ("PNG", {"compress_level": 6}),
    "JPEG 95, 4:4:4": ("JPEG", {"quality": 95, "subsampling": 0}),
    "JPEG 90, 4:4:4": ("JPEG", {"quality": 90, "subsampling": 0}),
    "WebP 90": ("WEBP", {"quality": 90}),
}


def codec_rows(squares: NDArray[np.uint8], repeats: int) -> list[dict[str, Any]]:
    """Every encoding with every decoder that is installed and takes it."""
    rows = []
    for name, (form, options) in ENCODINGS.items():
        payloads, seconds = cpu_seconds(lambda f=form, o=options: [_save(s, f, o) for s in squares])
        size = float(np.mean([len(payload) for payload in payloads]))
        row = {"table": "codecs", "name": name, "KB an image": size / 1000}
        row |= {"of pixels": size / squares[0].nbytes, "written/s a core": len(squares) / seconds}
        for library, decode in _decoders(form).items():
            taken = [cpu_seconds(lambda d=decode, p=payloads: [d(one) for one in p])[1]
                     for _ in range(repeats + 1)]  # fmt: skip
            rows.append({**row, "read by": library,
                         "read/s a core": len(squares) / statistics.median(taken[1:])})  # fmt: skip
    return rows


def _save(square: NDArray[np.uint8], form: str, options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(square).save(file, form, **options)
    return file.getvalue()


def _decoders(form: str) -> dict[str, Decoder]:
    """Libraries that decode a format, by name."""
    import torch
    from torchvision import io as vision

    warnings.filterwarnings("ignore", message="The image decoding", category=DeprecationWarning)
    found: dict[str, Decoder] = {"Pillow": lambda one: np.asarray(Image.open(io.BytesIO(one)))}
    by_vision = getattr(vision, f"decode_{form.lower()}")
    found["torchvision"] = lambda one: by_vision(_tensor(torch, one))
    if find_spec("torchcodec"):
        from torchcodec import decoders

        found["torchcodec"] = lambda one: decoders.decode_image(_tensor(torch, one))
    if find_spec("simplejpeg") and form == "JPEG":
        import simplejpeg

        found["simplejpeg"] = simplejpeg.decode_jpeg
    return found


def _tensor(torch: Any, payload: bytes) -> Any:
    return torch.frombuffer(bytearray(payload), dtype=torch.uint8)

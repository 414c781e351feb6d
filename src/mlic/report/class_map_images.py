"""Class maps as images: laid over the image that they explain, one column per model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from plotly.colors import hex_to_rgb, sequential

from mlic.explain.class_maps import ClassMaps
from mlic.images.thumbnails import SIDE, encode_image, resize_image
from mlic.report.formatting import number

__all__ = ["overlay", "render_maps"]

OPACITY = 0.6  # of the map over the image


def render_maps(
    class_maps: ClassMaps, pairs: Sequence[int], pixels: NDArray[np.uint8]
) -> list[dict[str, Any]]:
    """Render the class maps of some pairs, one row per pair; no row if there is no map.

    ``pixels`` has the image of each of these pairs; shape (len(pairs), H, W, 3). A row has a
    ``label`` and ``images``: dicts of ``source`` (a data URL), ``title`` and ``description``.
    """
    if not class_maps.maps:
        return []
    return [_row(class_maps, pair, pixels[i]) for i, pair in enumerate(pairs)]


def _row(class_maps: ClassMaps, pair: int, pixels: NDArray[np.uint8]) -> dict[str, Any]:
    name, label = str(class_maps.ids[pair]), str(class_maps.labels[pair])
    images = [_image(resize_image(pixels), "image", f"Image {name}")]
    maps = class_maps.of_pair(pair)
    for model in sorted(maps, key=lambda model: model == "student"):  # the student comes last
        title = model.replace("teachers.", "teacher ")
        description = f"Map of {title} for '{label}' in image {name}: {_describe(maps[model])}"
        images.append(_image(overlay(pixels, maps[model]), title, description))
    return {"label": label, "images": images}


def _image(image: Image.Image, title: str, description: str) -> dict[str, str]:
    return {"source": encode_image(image), "title": title, "description": description}


def _describe(values: NDArray[np.float32]) -> str:
    """Say where a map is strongest, for readers who cannot see it."""
    if values.max() <= 0:
        return "no evidence"
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    across = number(100 * (column + 0.5) / values.shape[1], 0)
    down = number(100 * (row + 0.5) / values.shape[0], 0)
    return f"strongest {across} % from the left, {down} % from the top"


def overlay(pixels: NDArray[np.uint8], values: NDArray[np.float32]) -> Image.Image:
    """Lay a class map in viridis over its image in grey; ``SIDE`` × ``SIDE`` pixels.

    The image has shape (H, W, 3), the map (h, w). Values of zero and below are no evidence.
    """
    peak = float(values.max())
    # Each map is scaled to its maximum, because the scales of two models cannot be compared.
    share = np.clip(values / peak, 0, None) if peak > 0 else np.zeros_like(values)
    fine = Image.fromarray(share.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    grey = resize_image(pixels).convert("L").convert("RGB")
    # Bicubic interpolation overshoots: clip again before the colours are looked up.
    return Image.blend(grey, Image.fromarray(_viridis(np.clip(np.asarray(fine), 0, 1))), OPACITY)


def _viridis(share: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Map numbers in [0, 1] to viridis, which stays readable for colour-blind readers."""
    # Plotly gives ten colours of the scale, between which is interpolated.
    table = np.array([hex_to_rgb(colour) for colour in sequential.Viridis])
    steps = np.linspace(0, 1, len(table))
    channels = [np.interp(share, steps, channel) for channel in table.T]
    return np.stack(channels, axis=-1).astype(np.uint8)

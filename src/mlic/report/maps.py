"""Class maps as images in the page: laid over the image they are of, model beside model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mlic.report.blocks import number
from mlic.report.cards import SIDE, as_source, enlarge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlic.explain.class_maps import ClassMaps

__all__ = ["overlay", "render_maps"]

STRENGTH = 0.6  # of the map's colour over the image


def render_maps(
    class_maps: ClassMaps, pairs: Sequence[int], pixels: NDArray[np.uint8]
) -> list[dict[str, Any]]:
    """Set images and maps out, a row for each pair.

    Parameters
    ----------
    class_maps
        All maps.
    pairs
        Which pairs to show.
    pixels
        Their images; shape (len(pairs), H, W, 3).

    Returns
    -------
    list of dict
        ``label``, and ``images``: the ``source``, ``title`` and, in words, what is ``told``.
        Nothing where there is no pair or no map.
    """
    if not class_maps.maps:
        return []
    return [_row(class_maps, pair, pixels[i]) for i, pair in enumerate(pairs)]


def _row(class_maps: ClassMaps, pair: int, pixels: NDArray[np.uint8]) -> dict[str, Any]:
    name, label = str(class_maps.ids[pair]), str(class_maps.labels[pair])
    images = [_image(enlarge(pixels), "image", f"Image {name}")]
    of_pair = class_maps.of_pair(pair)
    for model in sorted(of_pair, key=lambda model: model == "student"):  # after its teachers
        values = of_pair[model]
        title = model.replace("teachers.", "teacher ")
        told = f"Map of {title} for '{label}' in image {name}: {_tell(values)}"
        images.append(_image(overlay(pixels, values), title, told))
    return {"label": label, "images": images}


def _image(image: Image.Image, title: str, told: str) -> dict[str, str]:
    return {"source": as_source(image), "title": title, "told": told}


def _tell(values: NDArray[np.float32]) -> str:
    """Where a map is strongest, in words."""
    if values.max() <= 0:
        return "no evidence for it"
    line, column = np.unravel_index(int(values.argmax()), values.shape)
    across, down = (column + 0.5) / values.shape[1], (line + 0.5) / values.shape[0]
    return f"strongest {number(100 * across, 0)} % across and {number(100 * down, 0)} % down"


def overlay(pixels: NDArray[np.uint8], values: NDArray[np.float32]) -> Image.Image:
    """Lay a map over its image.

    Parameters
    ----------
    pixels
        Shape (H, W, 3).
    values
        Shape (h, w); what is not above zero is no evidence.

    Returns
    -------
    PIL.Image.Image
        The grey image in viridis, ``SIDE`` pixels wide and high.
    """
    most = float(values.max())
    share = np.clip(values / most, 0, None) if most > 0 else np.zeros_like(values)
    fine = Image.fromarray(share.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    grey = enlarge(pixels).convert("L").convert("RGB")
    return Image.blend(grey, Image.fromarray(_viridis(np.clip(np.asarray(fine), 0, 1))), STRENGTH)


def _viridis(share: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Colours of numbers in [0, 1]; legible to the colour-blind, and in grey."""
    from plotly.colors import hex_to_rgb, sequential

    table = np.array([hex_to_rgb(colour) for colour in sequential.Viridis])
    steps = np.linspace(0, 1, len(table))
    channels = [np.interp(share, steps, channel) for channel in table.T]
    return np.stack(channels, axis=-1).astype(np.uint8)

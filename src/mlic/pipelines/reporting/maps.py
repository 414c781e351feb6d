"""Class maps as pictures in the page: laid over the picture they are of, model beside model."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mlic.pipelines.reporting.markup import note, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlic.explain import ClassMaps

__all__ = ["overlay", "render_maps"]

SIDE = 144  # pixels of a picture in the page
STRENGTH = 0.6  # of the map's colour over the picture


def render_maps(
    class_maps: ClassMaps, pairs: Sequence[int], pixels: NDArray[np.uint8], num_pictures: int
) -> str:
    """Set pictures and maps out, a line for each pair.

    Parameters
    ----------
    class_maps
        All maps.
    pairs
        Which pairs to show.
    pixels
        Their pictures; shape (len(pairs), H, W, 3).
    num_pictures
        Among how many pictures they were found, for the caption.

    Returns
    -------
    str
        Markup, or nothing where there is no pair or no map.
    """
    if not len(pairs) or not class_maps.maps:
        return ""
    lines = [_line(class_maps, pair, pixels[i]) for i, pair in enumerate(pairs)]
    return "\n".join(lines) + note(
        f"Chosen by rule: the {len(pairs)} labels most frequent among the first {num_pictures} "
        "test pictures by a hash of their id, and of each label the first picture that carries "
        "it. Of the teachers, those who know the label. Colour tells the evidence for the label, "
        "from none (dark violet) to the map's own most (yellow): strengths of two maps do not "
        "compare. It is activation times gradient, or attention where the head attends."
    )


def _line(class_maps: ClassMaps, pair: int, pixels: NDArray[np.uint8]) -> str:
    name, label = str(class_maps.ids[pair]), str(class_maps.labels[pair])
    plain = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    figures = [_figure(plain, "picture", f"Picture {name}")]
    for model, values in class_maps.of_pair(pair).items():
        title = model.replace("teachers.", "teacher ")
        told = f"Map of {title} for '{label}' in picture {name}: {_tell(values)}"
        figures.append(_figure(overlay(pixels, values), title, told))
    cells = "\n".join(figures)
    return f'<h3>{escape(label)}</h3>\n<div class="maps">\n{cells}\n</div>'


def _tell(values: NDArray[np.float32]) -> str:
    """Where a map is strongest, in words."""
    if values.max() <= 0:
        return "no evidence for it"
    line, column = np.unravel_index(int(values.argmax()), values.shape)
    across, down = (column + 0.5) / values.shape[1], (line + 0.5) / values.shape[0]
    return f"strongest {number(100 * across, 0)} % across and {number(100 * down, 0)} % down"


def overlay(pixels: NDArray[np.uint8], values: NDArray[np.float32]) -> Image.Image:
    """Lay a map over its picture.

    Parameters
    ----------
    pixels
        Shape (H, W, 3).
    values
        Shape (h, w); what is not above zero is no evidence.

    Returns
    -------
    PIL.Image.Image
        The grey picture in viridis, ``SIDE`` pixels wide and high.
    """
    most = float(values.max())
    share = np.clip(values / most, 0, None) if most > 0 else np.zeros_like(values)
    fine = Image.fromarray(share.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    grey = Image.fromarray(pixels).convert("L").convert("RGB")
    grey = grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return Image.blend(grey, Image.fromarray(_viridis(np.clip(np.asarray(fine), 0, 1))), STRENGTH)


def _viridis(share: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Colours of numbers in [0, 1]; legible to the colour-blind, and in grey."""
    from plotly.colors import hex_to_rgb, sequential

    table = np.array([hex_to_rgb(colour) for colour in sequential.Viridis])
    steps = np.linspace(0, 1, len(table))
    channels = [np.interp(share, steps, channel) for channel in table.T]
    return np.stack(channels, axis=-1).astype(np.uint8)


def _figure(image: Image.Image, title: str, told: str) -> str:
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode()
    return (
        f'<figure><img alt="{escape(told)}" width="{SIDE}" height="{SIDE}" '
        f'src="data:image/png;base64,{data}"><figcaption>{escape(title)}</figcaption></figure>'
    )

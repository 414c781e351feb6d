"""How many images a label has, and how many labels an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mlic.report.figures.style import BLUE, finish, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["draw_label_counts"]

SKEWED = 30  # times that the most frequent label outnumbers the rarest before the axis is log
TICKS = [step * 10**power for power in range(8) for step in (1, 2, 5)]


def draw_label_counts(
    names: Sequence[str],
    counts: Mapping[str, NDArray[np.integer]],
    labels_per_image: NDArray[np.integer],
) -> go.Figure:
    """Draw the images of every label, most frequent first, and the labels of an image.

    Parameters
    ----------
    names
        The labels.
    counts
        By split, images with each label; shape (C,). Bars are of ``train``.
    labels_per_image
        How many labels each image carries; shape (n,).

    Returns
    -------
    plotly.graph_objects.Figure
        Left, a bar a label, or a point on a logarithmic axis where counts differ widely; right, the
        distribution of labels an image.

    Examples
    --------
    >>> figure = draw_label_counts(["cow", "sea"], {"train": np.array([2, 5])}, np.array([1, 2]))
    >>> figure.data[0].x
    ('sea', 'cow')
    """
    titles = ["Training images of each label", "Labels an image"]
    figure = make_subplots(
        cols=2, subplot_titles=titles, column_widths=[0.72, 0.28], horizontal_spacing=0.08
    )
    figure.add_trace(_ranking(names, counts), row=1, col=1)
    figure.add_trace(_distribution(labels_per_image), row=1, col=2)
    figure.update_xaxes(type="category", row=1, col=1)
    figure.update_yaxes(title="images", row=1, col=1)
    if _skewed(counts["train"]):
        figure.update_yaxes(type="log", tickvals=TICKS, row=1, col=1)
    else:
        figure.update_yaxes(rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title="images, %", row=1, col=2)
    figure.update_xaxes(title="labels", row=1, col=2)
    return finish(figure, 380).update_layout(showlegend=False, bargap=0.15)


def _skewed(train: NDArray[np.integer]) -> bool:
    return bool(train.max() > SKEWED * max(train.min(), 1))


def _ranking(
    names: Sequence[str], counts: Mapping[str, NDArray[np.integer]]
) -> go.Bar | go.Scatter:
    """A bar a label; points where the axis is logarithmic, since it has no zero to start from."""
    train = counts["train"]
    order = np.argsort(-train, kind="stable")
    told = "".join(f"<br>{split} %{{customdata[{i}]:,}}" for i, split in enumerate(counts))
    common = {
        "x": [plain(names[i]) for i in order],
        "y": train[order],
        "customdata": np.stack([counts[split][order] for split in counts], axis=1),
        "hovertemplate": f"%{{x}}{told}<extra></extra>",
        "marker": {"color": BLUE},
    }
    return go.Scatter(mode="markers", **common) if _skewed(train) else go.Bar(**common)


def _distribution(labels_per_image: NDArray[np.integer]) -> go.Bar:
    numbers, images = np.unique(labels_per_image, return_counts=True)
    return go.Bar(
        x=numbers,
        y=100 * images / max(len(labels_per_image), 1),
        customdata=images,
        hovertemplate="%{x} labels<br>%{customdata:,} images<extra></extra>",
        marker={"color": BLUE},
    )

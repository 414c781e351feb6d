"""Frequencies of labels, and distribution of the number of labels per image."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from mlic.report.figures.style import BLUE, finish, plain

__all__ = ["draw_label_counts"]

SKEWED = 30  # ratio of the most frequent to the rarest label above which the axis is logarithmic
# Plotly's own ticks of a logarithmic axis omit the 2 and the 5 of each decade.
TICKS = [step * 10**power for power in range(8) for step in (1, 2, 5)]


def draw_label_counts(
    names: Sequence[str],
    counts: Mapping[str, NDArray[np.integer]],
    labels_per_image: NDArray[np.integer],
) -> go.Figure:
    """Draw the number of images of every label and the number of labels per image.

    Left: a bar per label, most frequent first, or a point on a logarithmic axis if the counts
    differ widely. Right: the distribution of the number of labels per image.

    Parameters
    ----------
    names
        Names of the C labels.
    counts
        Number of images with each label, by split; shape (C,). ``train`` is drawn.
    labels_per_image
        Number of labels of each image; shape (n,).
    """
    titles = ["Training images of each label", "Labels per image"]
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
    # A label may have no training image at all.
    return bool(train.max() > SKEWED * max(train.min(), 1))


def _ranking(
    names: Sequence[str], counts: Mapping[str, NDArray[np.integer]]
) -> go.Bar | go.Scatter:
    """Draw bars, or points on a logarithmic axis, which has no zero for bars to start at."""
    train = counts["train"]
    # Stable: labels of equal frequency stay in the order of the class list.
    order = np.argsort(-train, kind="stable")
    details = "".join(f"<br>{split} %{{customdata[{i}]:,}}" for i, split in enumerate(counts))
    common = {
        "x": [plain(names[i]) for i in order],
        "y": train[order],
        "customdata": np.stack([counts[split][order] for split in counts], axis=1),
        "hovertemplate": f"%{{x}}{details}<extra></extra>",
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

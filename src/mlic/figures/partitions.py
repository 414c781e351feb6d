"""Partitions as ordered heat maps: company on the map, borders around every part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mlic.errors import PartitionError
from mlic.labels.graph import COMPANY_EXPONENT, affinity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mlic.labels.partition import Partition
    from mlic.labels.statistics import LabelStatistics

__all__ = ["draw_partitions", "order_labels"]

SCALE = "Blues"  # one hue, so that only lightness counts: safe for colour-blind readers
BORDER = "#d55e00"  # vermilion of Okabe and Ito's palette
FEW = 25  # labels that fit a small map in large type
READABLE = 100  # labels beyond which names stand in the hover text alone
NAMES = {
    "cgp": "CGP: labels that keep company",
    "dgp": "DGP: labels that do not",
    "random": "random groups",
    "user": "groups by hand",
}


def draw_partitions(statistics: LabelStatistics, partitions: Mapping[str, Partition]) -> go.Figure:
    """Draw the company of all labels, once for each partition and in its order.

    Parameters
    ----------
    statistics
        Counts of labels and pairs.
    partitions
        One or several, by strategy; drawn side by side.

    Returns
    -------
    plotly.graph_objects.Figure
        The darker a cell, the more company two labels keep (S at p = 1/2); groups are framed.
        Up to 100 labels are named at the side, and all of them where the pointer rests.

    Raises
    ------
    PartitionError
        If there is no partition.
    LabelError
        If a partition is of other labels.

    Examples
    --------
    >>> from mlic.labels.partition import user_partition
    >>> from mlic.labels.space import LabelSpace
    >>> from mlic.labels.statistics import count_labels
    >>> space = LabelSpace(("sea", "cow", "boat"))
    >>> counted = count_labels(np.array([[1, 0, 1], [1, 1, 0], [1, 0, 1]]), space)
    >>> parts = user_partition([["sea", "boat"], ["cow"]], space)
    >>> draw_partitions(counted, {"user": parts}).data[0].y
    ('sea', 'boat', 'cow')
    """
    if not partitions:
        raise PartitionError("there is no partition to draw: wire one strategy or more")
    titles = [NAMES.get(strategy, strategy) for strategy in partitions]
    figure = make_subplots(cols=len(partitions), subplot_titles=titles, horizontal_spacing=0.13)
    company = affinity(statistics, "co", COMPANY_EXPONENT)
    for column, partition in enumerate(partitions.values(), start=1):
        partition.space.require_same(statistics.space, "the partition", "the label statistics")
        _draw_panel(figure, column, statistics, company, partition)
    side = 880 if len(statistics.space) > FEW else 480
    figure.update_layout(
        template="plotly_white",
        height=side,
        width=70 + (side + 30) * len(partitions),
        margin={"l": 110, "r": 20, "t": 50, "b": 50},
        coloraxis={"colorscale": SCALE, "cmin": 0, "colorbar": {"title": "company", "x": 1.01}},
    )
    return figure


def order_labels(partition: Partition, counts: NDArray[np.int64]) -> NDArray[np.intp]:
    """Columns part by part, the most frequent label of each first; shape (C,), intp."""
    parts = (sorted(part, key=lambda column: -counts[column]) for part in partition.parts)
    return np.array([column for part in parts for column in part], dtype=np.intp)


def _draw_panel(
    figure: go.Figure,
    column: int,
    statistics: LabelStatistics,
    company: NDArray[np.float64],
    partition: Partition,
) -> None:
    order = order_labels(partition, statistics.counts)
    names = [statistics.space.names[i] for i in order]
    block = np.ix_(order, order)
    heat = go.Heatmap(
        z=company[block].astype(np.float32),
        x=names,
        y=names,
        customdata=statistics.cooccurrence[block].astype(np.int32),
        hovertemplate="%{y}, %{x}<br>company %{z:.2f}<br>%{customdata:,} pictures<extra></extra>",
        coloraxis="coloraxis",
    )
    place = {"row": 1, "col": column}
    figure.add_trace(heat, **place)
    # names that look like numbers or dates are categories all the same
    font = {"size": 8 if len(names) > FEW else 12}
    axis = {"type": "category", "tickfont": font, "dtick": 1, "showgrid": False}
    shown = len(names) <= READABLE
    figure.update_xaxes(**axis, showticklabels=False, title="group", title_standoff=20, **place)
    figure.update_yaxes(**axis, showticklabels=shown, autorange="reversed", **place)
    _frame_parts(figure, place, [len(part) for part in partition.parts])


def _frame_parts(figure: go.Figure, place: dict[str, int], sizes: list[int]) -> None:
    """Frame the block of every part and number it below the map."""
    ends = np.cumsum(sizes)
    for part, (end, size) in enumerate(zip(ends.tolist(), sizes, strict=True)):
        low, high = end - size - 0.5, end - 0.5
        line = {"color": BORDER, "width": 2}
        figure.add_shape(type="rect", x0=low, x1=high, y0=low, y1=high, line=line, **place)
        figure.add_annotation(
            x=(low + high) / 2,
            y=ends[-1] - 0.5,
            text=str(part),
            font={"size": 11, "color": BORDER},
            showarrow=False,
            yshift=-9,
            **place,
        )

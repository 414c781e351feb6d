"""Partitions as heat maps of co-occurrence, with a frame around every group."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from scipy import sparse

from mlic.errors import PartitionError
from mlic.labels.graph import COOCCURRENCE_EXPONENT, label_affinity
from mlic.labels.partition import Partition
from mlic.labels.statistics import LabelStatistics
from mlic.report.figures.style import VERMILION, finish, grid, place_of, plain
from mlic.report.names import strategy_title

__all__ = ["check_drawable", "draw_partitions", "order_labels"]

SCALE = "Blues"  # one hue that differs in lightness only: readable for colour-blind readers
READABLE = 40  # most labels whose names all fit
DRAWN = 500  # most labels of a heat map; of more labels, the most frequent are drawn
SIDE = 560  # height of a row of panels, in pixels


def draw_partitions(statistics: LabelStatistics, partitions: Mapping[str, Partition]) -> go.Figure:
    """Draw the co-occurrence of all labels in the order of each partition.

    The darker a cell, the stronger the co-occurrence of two labels (S at p = 1/2, in percent).
    Groups are framed and numbered. Of more than 500 labels, the most frequent 500 are drawn.

    Parameters
    ----------
    statistics
        Counts of labels and of pairs of labels.
    partitions
        One or more partitions by strategy, which are drawn side by side.

    Raises
    ------
    PartitionError
        If there is no partition.
    LabelError
        If a partition has other labels than the statistics.

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
    check_drawable(statistics, partitions)
    figure = grid([strategy_title(name) for name in partitions], horizontal_spacing=0.14)
    weights = label_affinity(statistics, COOCCURRENCE_EXPONENT)
    for panel, partition in enumerate(partitions.values()):
        _draw_panel(figure, place_of(panel, len(partitions)), statistics, weights, partition)
    colourbar = {"title": {"text": "co-occurrence, %"}, "x": 1.01, "thickness": 14}
    figure.update_layout(coloraxis={"colorscale": SCALE, "cmin": 0, "colorbar": colourbar})
    return finish(figure, SIDE * -(-len(partitions) // 2)).update_layout(margin_l=100)


def check_drawable(statistics: LabelStatistics, partitions: Mapping[str, Partition]) -> None:
    """Raise the errors of `draw_partitions`."""
    if not partitions:
        raise PartitionError(
            "there is no partition to draw: add a strategy to partition.strategies",
            parameter="partition.strategies",
        )
    for partition in partitions.values():
        partition.space.require_same(statistics.space, "the partition", "the label statistics")


def order_labels(
    partition: Partition, counts: NDArray[np.int64], most: int = DRAWN
) -> list[NDArray[np.intp]]:
    """Return the columns of each part, most frequent label first, as one array per part.

    ``counts`` is the number of images with each label; shape (C,). Of more than ``most`` labels in
    all, the most frequent are returned; a part may then be empty.
    """
    kept = np.argsort(-counts, kind="stable")[:most]
    membership = partition.membership[kept]
    return [kept[membership == part] for part in range(partition.num_parts)]


def _draw_panel(
    figure: go.Figure,
    place: dict[str, int],
    statistics: LabelStatistics,
    weights: sparse.csr_array,
    partition: Partition,
) -> None:
    parts = order_labels(partition, statistics.counts)
    order = np.concatenate(parts)
    names = [plain(statistics.space.names[i]) for i in order]
    # Small types, because the page contains every cell: percent as bytes, and counts as narrow as
    # their maximum allows.
    together = statistics.together[order][:, order].toarray()
    heat = go.Heatmap(
        z=np.rint(100 * weights[order][:, order].toarray()).astype(np.uint8),
        x=names,
        y=names,
        customdata=together.astype(np.min_scalar_type(together.max(initial=0))),
        hovertemplate="%{y}, %{x}<br>co-occurrence %{z} %<br>%{customdata:,} images<extra></extra>",
        coloraxis="coloraxis",
    )
    figure.add_trace(heat, **place)
    few = len(names) <= READABLE
    # Without this type, Plotly takes names such as "1" or "2024-01-01" for numbers and dates.
    axis = {"type": "category", "tickfont": {"size": 11 if few else 9}, "showgrid": False}
    figure.update_xaxes(**axis, showticklabels=False, title="group", title_standoff=20, **place)
    figure.update_yaxes(**axis, dtick=1 if few else None, autorange="reversed", **place)
    _frame_parts(figure, place, [len(part) for part in parts])


def _frame_parts(figure: go.Figure, place: dict[str, int], sizes: list[int]) -> None:
    """Draw a frame around the block of every part and its number below the map."""
    ends = np.cumsum(sizes)
    for part, (end, size) in enumerate(zip(ends.tolist(), sizes, strict=True)):
        if not size:
            continue  # all labels of the part were left out
        low, high = end - size - 0.5, end - 0.5
        line = {"color": VERMILION, "width": 2}
        figure.add_shape(type="rect", x0=low, x1=high, y0=low, y1=high, line=line, **place)
        figure.add_annotation(
            x=(low + high) / 2,
            y=ends[-1] - 0.5,
            text=str(part),
            font={"size": 12, "color": "#a34800"},  # vermilion, dark enough to read
            showarrow=False,
            yshift=-9,
            **place,
        )

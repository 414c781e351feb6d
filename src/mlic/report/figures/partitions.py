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

__all__ = ["draw_partitions", "order_labels"]

SCALE = "Blues"  # one hue that differs in lightness only: readable for colour-blind readers
READABLE = 40  # most labels whose names all fit
DRAWN = 500  # most labels of a heat map; of more labels, the most frequent are drawn
SIDE = 560  # height of a row of panels, in pixels


def draw_partitions(statistics: LabelStatistics, partitions: Mapping[str, Partition]) -> go.Figure:
    """Draw the co-occurrence of all labels in the order of each partition.

    Parameters
    ----------
    statistics
        Counts of labels and of pairs of labels.
    partitions
        One or more partitions by strategy, which are drawn side by side.

    Returns
    -------
    plotly.graph_objects.Figure
        The darker a cell, the stronger the co-occurrence of two labels (S at p = 1/2, in percent).
        Groups are framed and numbered. Of more than 500 labels, the most frequent 500 are drawn.

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
    if not partitions:
        raise PartitionError(
            "there is no partition to draw: add a strategy to partition.strategies",
            parameter="partition.strategies",
        )
    figure = grid([strategy_title(name) for name in partitions], horizontal_spacing=0.14)
    weights = label_affinity(statistics, COOCCURRENCE_EXPONENT)
    for panel, partition in enumerate(partitions.values()):
        partition.space.require_same(statistics.space, "the partition", "the label statistics")
        place = place_of(panel, len(partitions))
        _draw_panel(figure, place, statistics, weights, partition)
    colourbar = {"title": {"text": "co-occurrence, %"}, "x": 1.01, "thickness": 14}
    figure.update_layout(coloraxis={"colorscale": SCALE, "cmin": 0, "colorbar": colourbar})
    return finish(figure, SIDE * -(-len(partitions) // 2)).update_layout(margin_l=100)


def order_labels(
    partition: Partition, counts: NDArray[np.int64], most: int = DRAWN
) -> list[NDArray[np.intp]]:
    """Return the columns of each part, most frequent label first.

    Parameters
    ----------
    partition
        Partition of C labels.
    counts
        Number of images with each label; shape (C,).
    most
        Largest number of labels in all; of more, the most frequent are returned.

    Returns
    -------
    list of numpy.ndarray
        One array per part, shape (number of labels,), intp; empty if all labels of a part were
        left out.
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
    heat = go.Heatmap(
        z=_percent(weights[order][:, order].toarray()),
        x=names,
        y=names,
        customdata=_small(statistics.together[order][:, order].toarray()),
        hovertemplate="%{y}, %{x}<br>co-occurrence %{z} %<br>%{customdata:,} images<extra></extra>",
        coloraxis="coloraxis",
    )
    figure.add_trace(heat, **place)
    few = len(names) <= READABLE
    font = {"size": 11 if few else 9}
    # Without this type, Plotly takes names such as "1" or "2024-01-01" for numbers and dates.
    axis = {"type": "category", "tickfont": font, "showgrid": False}
    figure.update_xaxes(**axis, showticklabels=False, title="group", title_standoff=20, **place)
    figure.update_yaxes(**axis, dtick=1 if few else None, autorange="reversed", **place)
    _frame_parts(figure, place, [len(part) for part in parts])


def _percent(share: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Round to whole percent; bytes keep the file of a map of 500 labels small."""
    return np.rint(100 * share).astype(np.uint8)


def _small(counts: NDArray[np.int32]) -> NDArray[np.integer]:
    """Convert counts to the smallest type that can represent them."""
    return counts.astype(np.min_scalar_type(counts.max(initial=0)))


def _frame_parts(figure: go.Figure, place: dict[str, int], sizes: list[int]) -> None:
    """Draw a frame around the block of every part and its number below the map."""
    ends = np.cumsum(sizes)
    for part, (end, size) in enumerate(zip(ends.tolist(), sizes, strict=True)):
        if not size:
            continue
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

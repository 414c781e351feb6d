"""Partitions as ordered heat maps: company on the map, borders around every part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from mlic.errors import PartitionError
from mlic.labels.graph import COOCCURRENCE_EXPONENT, label_affinity
from mlic.report.figures.style import VERMILION, finish, grid, place_of, plain, strategy_title

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from scipy import sparse

    from mlic.labels.partition import Partition
    from mlic.labels.statistics import LabelStatistics

__all__ = ["draw_partitions", "order_labels"]

SCALE = "Blues"  # one hue, so that only lightness counts: safe for colour-blind readers
READABLE = 40  # labels whose names fit; of more, as many are named as there is room for
DRAWN = 500  # most labels of a map: of more, the most frequent
SIDE = 560  # height of a row of panels, pixels


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
        The darker a cell, the more company two labels keep (S at p = 1/2, in percent); groups are
        framed and numbered. Of more than 500 labels the most frequent 500 are drawn.

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
    figure = grid([strategy_title(name) for name in partitions], horizontal_spacing=0.14)
    company = label_affinity(statistics, COOCCURRENCE_EXPONENT)
    for panel, partition in enumerate(partitions.values()):
        partition.space.require_same(statistics.space, "the partition", "the label statistics")
        place = place_of(panel, len(partitions))
        _draw_panel(figure, place, statistics, company, partition)
    colours = {"title": {"text": "company, %"}, "x": 1.01, "thickness": 14}
    figure.update_layout(coloraxis={"colorscale": SCALE, "cmin": 0, "colorbar": colours})
    return finish(figure, SIDE * -(-len(partitions) // 2)).update_layout(margin_l=100)


def order_labels(
    partition: Partition, counts: NDArray[np.int64], most: int = DRAWN
) -> list[NDArray[np.intp]]:
    """Columns of each part, the most frequent label first; of too many, the most frequent at all.

    Returns
    -------
    list of numpy.ndarray
        One array a part, shape (labels of the part,), intp; parts may be empty where labels were
        left out.
    """
    kept = np.argsort(-counts, kind="stable")[:most]
    membership = partition.membership[kept]
    return [kept[membership == part] for part in range(partition.num_parts)]


def _draw_panel(
    figure: go.Figure,
    place: dict[str, int],
    statistics: LabelStatistics,
    company: sparse.csr_array,
    partition: Partition,
) -> None:
    parts = order_labels(partition, statistics.counts)
    order = np.concatenate(parts)
    names = [plain(statistics.space.names[i]) for i in order]
    heat = go.Heatmap(
        z=_percent(company[order][:, order].toarray()),
        x=names,
        y=names,
        customdata=_small(statistics.together[order][:, order].toarray()),
        hovertemplate="%{y}, %{x}<br>company %{z} %<br>%{customdata:,} images<extra></extra>",
        coloraxis="coloraxis",
    )
    figure.add_trace(heat, **place)
    # names that look like numbers or dates are categories all the same
    few = len(names) <= READABLE
    font = {"size": 11 if few else 9}
    axis = {"type": "category", "tickfont": font, "showgrid": False}
    figure.update_xaxes(**axis, showticklabels=False, title="group", title_standoff=20, **place)
    figure.update_yaxes(**axis, dtick=1 if few else None, autorange="reversed", **place)
    _frame_parts(figure, place, [len(part) for part in parts])


def _percent(share: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Bytes keep a map of 500 labels small."""
    return np.rint(100 * share).astype(np.uint8)


def _small(counts: NDArray[np.int32]) -> NDArray[np.integer]:
    """Counts in the smallest type that holds them."""
    return counts.astype(np.min_scalar_type(counts.max(initial=0)))


def _frame_parts(figure: go.Figure, place: dict[str, int], sizes: list[int]) -> None:
    """Frame the block of every part and number it below the map."""
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

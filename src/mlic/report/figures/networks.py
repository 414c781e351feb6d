"""Partitions as networks: labels on a circle, group by group, joined by their strongest edges."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from scipy import sparse

from mlic.labels.graph import COOCCURRENCE_EXPONENT, label_affinity
from mlic.labels.partition import Partition
from mlic.labels.statistics import LabelStatistics
from mlic.report.figures.partitions import check_drawable, order_labels
from mlic.report.figures.style import BLUE, GREY, VERMILION, finish, grid, place_of, plain
from mlic.report.names import strategy_title

__all__ = ["draw_networks", "strongest_pairs"]

NEIGHBOURS = 3  # most edges drawn per label
MAX_EDGES = 200  # approximate number of lines that a reader can distinguish
GAP = 1.5  # space between two groups, in labels
UPRIGHT = 24  # most labels whose names fit without rotation
NAMED = 80  # names that fit around a circle; of more labels, the most frequent are named
ROOM, ROOM_TURNED = 1.2, 1.55  # half the side of a panel, in radii of the circle
BEND = np.linspace(0, 1, 9)  # parameters of the points of a curve
LINES = {
    "inside a group": {"color": BLUE, "width": 1.4},
    "between groups": {"color": VERMILION, "width": 1, "dash": "dot"},
}


def draw_networks(statistics: LabelStatistics, partitions: Mapping[str, Partition]) -> go.Figure:
    """Draw the strongest co-occurrences within and between the groups of each partition.

    Every panel has the same lines, from each label to its strongest partners (three per label, or
    one if there are many labels); only the positions of the labels differ. A co-occurrence
    partition has short lines along the circle, a dis-occurrence partition long ones across it.
    Parameters and errors are those of `mlic.report.figures.partitions.draw_partitions`.
    """
    check_drawable(statistics, partitions)
    figure = grid([_title(*item) for item in partitions.items()], horizontal_spacing=0.02)
    # The same lines in every panel, so that only the positions of the labels differ.
    edges = strongest_pairs(label_affinity(statistics, COOCCURRENCE_EXPONENT))
    for panel, partition in enumerate(partitions.values()):
        _draw_panel(figure, panel, len(partitions), statistics, edges, partition)
    rows = -(-len(partitions) // 2)
    finish(figure, 560 * rows).update_layout(margin={"l": 10, "r": 10, "t": 60, "b": 10})
    return figure.update_layout(showlegend=False)


def strongest_pairs(weights: sparse.csr_array) -> NDArray[np.intp]:
    """Return the pairs of labels where one is among the strongest partners of the other.

    The symmetric co-occurrence weights have shape (C, C), in CSR format. The result has the columns
    i < j of each pair; shape (m, 2). A label without co-occurrences has no pair.
    """
    few = min(max(MAX_EDGES // weights.shape[0], 1), NEIGHBOURS)
    pairs = set()
    # A row of a CSR matrix is a slice of its data: no dense matrix of many labels is needed.
    for label, (start, end) in enumerate(zip(weights.indptr[:-1], weights.indptr[1:], strict=True)):
        strongest = np.argsort(-weights.data[start:end], kind="stable")[:few]
        pairs |= {(min(label, j), max(label, j)) for j in weights.indices[start:end][strongest]}
    return np.array(sorted(pairs), dtype=np.intp).reshape(-1, 2)


def _title(strategy: str, partition: Partition) -> str:
    title, quality = plain(strategy_title(strategy)), partition.quality
    if "coverage_graph" not in quality:
        return title
    return (
        f"{title}<br><sup>{quality['coverage_graph']:.0%} of co-occurrence within groups, "
        f"{quality['coverage_graph_random']:.0%} in random groups</sup>"
    )


def _draw_panel(
    figure: go.Figure,
    panel: int,
    num_panels: int,
    statistics: LabelStatistics,
    edges: NDArray[np.intp],
    partition: Partition,
) -> None:
    """Draw one partition: lines first, so that the points of the labels lie above them."""
    place = place_of(panel, num_panels)
    # All labels, unlike in the heat map: a point takes less space than a row.
    parts = order_labels(partition, statistics.counts, most=len(statistics.space))
    angles = _angles(parts)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    inside = partition.membership[edges[:, 0]] == partition.membership[edges[:, 1]]
    for (name, line), of_kind in zip(LINES.items(), (inside, ~inside), strict=True):
        x, y = _curves(points, edges[of_kind])
        style = {"mode": "lines", "opacity": 0.7, "hoverinfo": "skip"}
        figure.add_trace(go.Scatter(x=x, y=y, name=name, line=line, **style), **place)
    figure.add_trace(_labels(statistics, partition, points), **place)
    room = ROOM if len(angles) <= UPRIGHT else ROOM_TURNED
    axis = {"visible": False, "range": [-room, room]}
    figure.update_xaxes(**axis, **place)
    figure.update_yaxes(**axis, scaleanchor=f"x{panel + 1}" if panel else "x", **place)
    _name_labels(figure, place, statistics, parts, angles)


def _angles(parts: list[NDArray[np.intp]]) -> NDArray[np.float64]:
    """Compute the angle of each label, clockwise from the top, with gaps between parts."""
    size = sum(map(len, parts))
    angles, start = np.empty(size), 0.0
    circumference = size + GAP * len(parts)
    for part in parts:
        spread = _spread(part, _num_named(part, size))
        angles[spread] = (start + np.arange(len(part))) / circumference
        start += len(part) + GAP
    return np.pi / 2 - 2 * np.pi * angles


def _num_named(part: NDArray[np.intp], size: int) -> int:
    """Return how many labels of a part are named; ``size`` is the number of all labels."""
    return len(part) if size <= NAMED else max(1, NAMED * len(part) // size)


def _spread(part: NDArray[np.intp], num_named: int) -> NDArray[np.intp]:
    """Distribute labels without a written name between those with one, to make room for names."""
    spread, rest = np.empty_like(part), iter(part[num_named:])
    starts = np.arange(1, num_named) * len(part) // num_named
    slots = np.split(np.arange(len(part)), starts)
    for frequent, slot in zip(part[:num_named], slots, strict=True):
        spread[slot] = [frequent, *(next(rest) for _ in slot[1:])]
    return spread


def _curves(
    points: NDArray[np.float64], edges: NDArray[np.intp]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute quadratic Bézier curves that bend towards the centre, each followed by a NaN."""
    one, other = points[edges[:, 0], None], points[edges[:, 1], None]
    middle, t = 0.25 * (one + other), BEND[:, None]
    curve = (1 - t) ** 2 * one + 2 * t * (1 - t) * middle + t**2 * other
    # One trace with gaps is drawn much faster than one trace per curve.
    gap = np.full((len(edges), 1, 2), np.nan)
    lines = np.concatenate([curve, gap], axis=1).reshape(-1, 2).astype(np.float32)
    return lines[:, 0], lines[:, 1]


def _labels(
    statistics: LabelStatistics, partition: Partition, points: NDArray[np.float64]
) -> go.Scatter:
    counts = statistics.counts
    # The area of a point, not its diameter, is what readers compare.
    size = 5 + 9 * np.sqrt(counts / max(counts.max(), 1))
    labels = zip(statistics.space.names, partition.membership, counts, strict=True)
    hover = [f"{plain(name)}<br>group {part}<br>{count:,} images" for name, part, count in labels]
    return go.Scatter(
        x=points[:, 0].astype(np.float32),
        y=points[:, 1].astype(np.float32),
        mode="markers",
        marker={"size": size.round(1).tolist(), "color": GREY, "line": {"width": 1}},
        text=hover,
        hoverinfo="text",
        name="labels",
    )


def _name_labels(
    figure: go.Figure,
    place: dict[str, int],
    statistics: LabelStatistics,
    parts: list[NDArray[np.intp]],
    angles: NDArray[np.float64],
) -> None:
    """Write the names around the circle, and the number of each group inside it."""
    size = len(angles)
    for number, part in enumerate(parts):
        for label in part[: _num_named(part, size)]:
            _write(figure, place, plain(statistics.space.names[label], 18), angles[label], size)
        # The mean of angles that cross ±π is wrong; the angle of the mean direction is not.
        middle = np.angle(np.exp(1j * angles[part]).sum())
        spot = {"x": 0.86 * np.cos(middle), "y": 0.86 * np.sin(middle), "showarrow": False}
        font = {"size": 14, "color": "#1b1f24"}
        figure.add_annotation(text=f"<b>{number}</b>", font=font, bgcolor="#fff", **spot, **place)


def _write(figure: go.Figure, place: dict[str, int], text: str, angle: float, size: int) -> None:
    """Write a name outside the circle; along the radius if there are many names."""
    x, y = float(np.cos(angle)), float(np.sin(angle))
    spot = {"x": x, "y": y, "text": text, "showarrow": False}
    if size <= UPRIGHT:
        side = "left" if x > 0.2 else "right" if x < -0.2 else "center"
        upright = {"xanchor": side, "xshift": 10 * x, "yshift": 14 * y, "font_size": 12}
        figure.add_annotation(**spot, **upright, **place)
        return
    away = 10 + 2.6 * len(text)  # about half the width of the text, in pixels
    degrees = -np.degrees(angle if x >= 0 else angle + np.pi)
    turned = {"textangle": float(degrees), "xshift": away * x, "yshift": away * y, "font_size": 10}
    figure.add_annotation(**spot, **turned, **place)

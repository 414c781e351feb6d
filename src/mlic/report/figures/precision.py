"""Average precision of every label: baseline against student."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from mlic.report.figures.style import BLUE, GREY, MARKS, finish, plain
from mlic.report.names import MODELS

__all__ = ["draw_average_precision", "extremes"]

MAX_NAMED = 10  # gains, and as many losses


def draw_average_precision(
    names: Sequence[str],
    positives: NDArray[np.integer],
    baseline: NDArray[np.floating],
    student: NDArray[np.floating],
) -> go.Figure:
    """Draw the average precision of all labels, and of those with the largest differences.

    Left: a point per label; the student is better above the diagonal. Right: the ten largest gains
    and the ten largest losses, or all labels if there are at most twenty, with the number of test
    images in brackets.

    Parameters
    ----------
    names
        Names of the C labels.
    positives
        Number of test images with each label; shape (C,).
    baseline, student
        Average precision in percent, NaN if a label has no positive; shape (C,).
    """
    titles = ["Every label", "Largest gains (above) and losses (below)"]
    figure = make_subplots(
        cols=2, subplot_titles=titles, column_widths=[0.47, 0.53], horizontal_spacing=0.17
    )
    # A label without a positive has no average precision.
    scored = np.flatnonzero(~np.isnan(baseline) & ~np.isnan(student))
    shown = scored[extremes((student - baseline)[scored], MAX_NAMED)]
    titled = [f"{plain(names[i], 22)} ({positives[i]:,})" for i in shown]
    figure.add_trace(_points(names, positives, baseline, student, scored), row=1, col=1)
    diagonal = {"type": "line", "x0": 0, "y0": 0, "x1": 100, "y1": 100}
    figure.add_shape(**diagonal, line={"color": GREY, "dash": "dash"}, row=1, col=1)
    for trace in _dumbbells(baseline[shown], student[shown]):
        figure.add_trace(trace, row=1, col=2)
    figure.update_xaxes(title="AP of the baseline, %", row=1, col=1)
    figure.update_yaxes(title="AP of the student, %", row=1, col=1)
    figure.update_xaxes(title="AP, %", row=1, col=2)
    rows = {"tickvals": list(range(len(shown))), "ticktext": titled, "zeroline": False}
    figure.update_yaxes(**rows, row=1, col=2)
    finish(figure, 560).update_layout(legend={"orientation": "h", "x": 1, "xanchor": "right"})
    return figure.update_layout(legend_y=-0.12)


def extremes(gains: NDArray[np.floating], most: int) -> NDArray[np.intp]:
    """Return the indices of the ``most`` smallest and largest numbers, in ascending order.

    All indices are returned if there are no more than that.
    """
    # A stable sort gives labels with the same gain the order of the class list.
    order = np.argsort(gains, kind="stable")
    return order if len(order) <= 2 * most else np.concatenate([order[:most], order[-most:]])


def _points(
    names: Sequence[str],
    positives: NDArray[np.integer],
    baseline: NDArray[np.floating],
    student: NDArray[np.floating],
    scored: NDArray[np.intp],
) -> go.Scatter:
    return go.Scatter(
        x=baseline[scored].round(2),
        y=student[scored].round(2),
        mode="markers",
        marker={"color": BLUE, "size": 8, "opacity": 0.65},
        customdata=positives[scored],
        text=[plain(names[i]) for i in scored],
        hovertemplate="%{text}, %{customdata:,} test images<br>baseline %{x} %<br>"
        "student %{y} %<extra></extra>",
        showlegend=False,
    )


def _dumbbells(baseline: NDArray[np.floating], student: NDArray[np.floating]) -> list[go.Scatter]:
    """Draw a bar between two marks for each row, with row 0 at the bottom."""
    rows = np.arange(len(baseline))
    # NaN separates the bars, which are one trace.
    gap = np.full(len(rows), np.nan)
    bars = go.Scatter(
        x=np.stack([baseline, student, gap], axis=1).ravel(),
        y=np.repeat(rows, 3),
        mode="lines",
        line={"color": GREY, "width": 2},
        hoverinfo="skip",
        showlegend=False,
    )
    marks = [
        go.Scatter(
            x=values.round(2),
            y=rows,
            mode="markers",
            marker=MARKS[model],
            name=MODELS[model],
            hovertemplate="%{x} %<extra></extra>",
        )
        for model, values in (("baseline", baseline), ("student", student))
    ]
    return [bars, *marks]

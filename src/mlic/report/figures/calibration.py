"""Reliability diagrams, and precision and recall of every label."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from mlic.report.figures.style import BLUE, GREY, VERMILION, finish, grid, place_of, plain

__all__ = ["draw_decisions", "draw_reliability"]

_TITLES = {"sigmoid": "Sigmoid of the logit", "calibrated": "Calibrated"}
_COLOURS = {"sigmoid": VERMILION, "calibrated": BLUE}
LARGEST = 26  # pixels, of the mark of the fullest bin


def draw_reliability(bins: Mapping[str, Mapping[str, Any]]) -> go.Figure:
    """Draw how often a label is present where the model gives it a certain probability.

    Parameters
    ----------
    bins
        For ``sigmoid`` and ``calibrated``: ``probability``, ``frequency`` and ``cells`` of each
        bin. Points on the diagonal keep what they promise; their size shows how many cells there
        are.
    """
    titles = [_TITLES[kind] for kind in bins]
    figure = grid(titles, horizontal_spacing=0.12)
    for panel, (kind, found) in enumerate(bins.items()):
        place, cells = place_of(panel, len(bins)), np.asarray(found["cells"])
        # The area is proportional to the logarithm: bins differ by factors of a thousand.
        size = LARGEST * np.sqrt(np.log1p(cells) / max(np.log1p(cells.max(initial=1)), 1))
        figure.add_trace(
            go.Scatter(
                x=found["probability"],
                y=found["frequency"],
                mode="lines+markers",
                marker={"color": _COLOURS[kind], "size": size.round(1), "opacity": 0.8},
                line={"color": _COLOURS[kind], "width": 1},
                customdata=cells,
                hovertemplate="probability %{x:.2f}<br>present in %{y:.1%} of %{customdata:,} "
                "cells<extra></extra>",
                showlegend=False,
            ),
            **place,
        )
        line = {"type": "line", "x0": 0, "y0": 0, "x1": 1, "y1": 1}
        figure.add_shape(**line, line={"color": GREY, "dash": "dash"}, **place)
    figure.update_xaxes(title="mean probability", range=[-0.03, 1.03])
    figure.update_yaxes(title="share of present labels", range=[-0.05, 1.05])
    return finish(figure, 420)


def draw_decisions(
    names: Sequence[str],
    positives: NDArray[np.integer],
    precision: NDArray[np.floating],
    recall: NDArray[np.floating],
) -> go.Figure:
    """Draw precision and recall of every label at its threshold, a point for each label.

    Precision and recall are in percent, NaN for a label without a positive, which is left out.
    """
    shown = np.flatnonzero(~np.isnan(precision))
    figure = go.Figure(
        go.Scatter(
            x=recall[shown].round(1),
            y=precision[shown].round(1),
            mode="markers",
            marker={"color": BLUE, "size": 9, "opacity": 0.65},
            text=[plain(names[i]) for i in shown.tolist()],
            customdata=positives[shown],
            hovertemplate="%{text}, %{customdata:,} test images<br>recall %{x} %<br>"
            "precision %{y} %<extra></extra>",
        )
    )
    figure.update_xaxes(title="recall, %", range=[-3, 103])
    figure.update_yaxes(title="precision, %", range=[-3, 103])
    return finish(figure, 440)

"""Pairs of labels that models predict together too often, or confuse with each other."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from mlic.report.figures.style import MARKS, finish, plain
from mlic.report.names import MODELS

__all__ = ["draw_pair_errors"]

MAX_PAIRS = 15  # per panel
TRUTH = {"color": "#1b1f24", "symbol": "line-ns-open", "size": 14, "line": {"width": 3}}


def draw_pair_errors(
    first: Sequence[str], second: Sequence[str], counts: Mapping[str, NDArray[np.integer]]
) -> go.Figure:
    """Draw the pairs with the largest errors of each kind.

    Left: on how many images both labels are present, and predicted by each model. Right: on how
    many images one label is present and the other is predicted instead. The largest errors are at
    the top.

    Parameters
    ----------
    first, second
        Names of the labels of each pair.
    counts
        Columns of `mlic.evaluation.error_analysis.pair_errors` for the models ``baseline`` and
        ``student``; shape (number of pairs,).
    """
    titles = ["Predicted together", "Confused with each other"]
    figure = make_subplots(cols=2, subplot_titles=titles, horizontal_spacing=0.22)
    names = np.array(
        [f"{plain(a, 16)}, {plain(b, 16)}" for a, b in zip(first, second, strict=True)], dtype=str
    )
    # Both signs count: a model may also predict a pair too rarely.
    excess = [counts[f"{model}_together"] - counts["together"] for model in MARKS]
    confused = [counts[f"{model}_confused"] for model in MARKS]
    kinds = (("together", excess), ("confused", confused))
    for column, (kind, errors) in enumerate(kinds, start=1):
        shown = _worst(errors)
        for trace in _marks(counts, kind, shown):
            trace.showlegend = column == 1  # both panels have the same marks
            figure.add_trace(trace, row=1, col=column)
        rows = {"tickvals": list(range(len(shown))), "ticktext": names[shown].tolist()}
        figure.update_yaxes(**rows, zeroline=False, row=1, col=column)
    figure.update_xaxes(title="test images", rangemode="tozero")
    legend = {"orientation": "h", "x": 0.5, "xanchor": "center", "y": -0.14}
    return finish(figure, 500).update_layout(legend=legend, margin_l=170)


def _worst(errors: Sequence[NDArray[np.integer]]) -> NDArray[np.intp]:
    """Return the pairs with the largest error of any model, the largest last (at the top)."""
    largest = np.abs(np.stack(errors)).max(axis=0)
    worst = np.argsort(-largest, kind="stable")[:MAX_PAIRS][::-1]
    return np.asarray(worst[largest[worst] > 0])


def _marks(
    counts: Mapping[str, NDArray[np.integer]], kind: str, shown: NDArray[np.intp]
) -> list[go.Scatter]:
    series = {MODELS[model]: (counts[f"{model}_{kind}"], mark) for model, mark in MARKS.items()}
    if kind == "together":
        series = {"Both present": (counts["together"], TRUTH), **series}
    return [
        go.Scatter(
            x=values[shown],
            y=np.arange(len(shown)),
            mode="markers",
            marker=mark,
            name=name,
            legendgroup=name,
            hovertemplate=f"{name} %{{x:,}}<extra></extra>",
        )
        for name, (values, mark) in series.items()
    ]

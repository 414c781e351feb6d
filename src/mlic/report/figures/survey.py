"""Quality of partitions over K, to help with the choice of K."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mlic.labels.partition.survey import Suggestion
from mlic.report.figures.style import BLUE, VERMILION, finish

__all__ = ["draw_survey"]

OURS = {"color": BLUE}
CHANCE = {"color": VERMILION, "dash": "dash"}
BAND = "rgba(213, 94, 0, 0.2)"


def draw_survey(
    rows: Sequence[Mapping[str, float]], chosen: int, suggestion: Suggestion | None = None
) -> go.Figure:
    """Draw the weight within parts, compared with random parts, and the stability over K.

    Top: share of the co-occurrence graph's weight within parts, and the same for random parts of
    equal sizes, mean ± 2 standard deviations. Bottom: mean adjusted Rand index between seeds. Good
    co-occurrence parts are far above random parts, dis-occurrence parts far below.

    Parameters
    ----------
    rows
        Result of `mlic.labels.partition.survey.survey_parts` for one strategy.
    chosen
        The number of parts in use, which is marked.
    suggestion
        Result of `mlic.labels.partition.survey.suggest_parts`, marked if it suggests a number.
    """
    # K is on one axis: the reader compares both panels at the same K.
    figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.06)
    ks = [int(row["num_parts"]) for row in rows]
    for trace in _mass_traces(rows, ks):
        figure.add_trace(trace, row=1, col=1)
    stability = go.Scatter(
        x=ks, y=[row["stability"] for row in rows], name="stability", line=OURS, showlegend=False
    )
    figure.add_trace(stability, row=2, col=1)
    _mark(figure, chosen, f"chosen: {chosen}", "solid")
    if suggestion is not None and suggestion.num_parts is not None:
        text = f"communities: {suggestion.num_parts} ({suggestion.share:.0%} of seeds)"
        _mark(figure, suggestion.num_parts, text, "dot", below=True)
    figure.update_xaxes(dtick=1)
    figure.update_xaxes(title="K, number of groups", row=2, col=1)
    figure.update_yaxes(title="weight within groups", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title="ARI over seeds", range=[-0.05, 1.05], row=2, col=1)
    return finish(figure, 440).update_layout(legend={"orientation": "h", "y": -0.16})


def _mass_traces(rows: Sequence[Mapping[str, float]], ks: list[int]) -> list[go.Scatter]:
    mean = [row["coverage_graph_random"] for row in rows]
    high, low = (
        [m + sign * 2 * row["coverage_graph_random_sd"] for m, row in zip(mean, rows, strict=True)]
        for sign in (1, -1)
    )
    # A closed polygon: along the upper bound, and back along the lower one.
    band = go.Scatter(
        x=[*ks, *reversed(ks)],
        y=[*high, *reversed(low)],
        fill="toself",
        fillcolor=BAND,
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        name="random, ± 2 sd",
    )
    ours = [row["coverage_graph"] for row in rows]
    return [
        band,
        go.Scatter(x=ks, y=mean, name="random, mean", mode="lines", line=CHANCE),
        go.Scatter(x=ks, y=ours, name="groups", mode="lines+markers", line=OURS),
    ]


def _mark(figure: go.Figure, num_parts: int, text: str, dash: str, below: bool = False) -> None:
    """Mark a number of parts with a line in both panels and a text, moved down if ``below``."""
    line = {"line_color": "#444444", "line_dash": dash, "line_width": 1.5}
    # Plotly places such a text at the top of the line, so that two of them may overlap.
    label = {"annotation_text": text, "annotation_yshift": -16 * below}
    figure.add_vline(x=num_parts, **line, **label, row=1, col=1)
    figure.add_vline(x=num_parts, **line, row=2, col=1)

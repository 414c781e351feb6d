"""Training curves of all models of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mlic.distillation.teacher_id import NAMESPACE, strategy_of
from mlic.report.figures.style import BLUE, GREY, VERMILION, finish, plain
from mlic.report.names import MODELS, ensemble_title

__all__ = ["draw_training_curves"]

LINES: dict[str, dict[str, Any]] = {
    "baseline": {"color": VERMILION, "width": 2.5},
    "budget_matched_baseline": {"color": "#a0568b", "width": 2, "dash": "dashdot"},
    "student": {"color": BLUE, "width": 2.5},
}
TEACHERS = [
    {"color": GREY, "width": 1, "dash": dash} for dash in ("solid", "dot", "dash", "longdash")
]


def draw_training_curves(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> go.Figure:
    """Draw the validation mAP and the training loss of every training over its epochs.

    The axis is the share of each training's own epochs, because all trainings follow the same
    schedule over it. The teachers of one strategy have the same line style.

    Parameters
    ----------
    histories
        Metrics of every epoch by model (``baseline``, ``budget_matched_baseline``,
        ``teachers.<strategy>_<part>``, ``student``): ``loss`` and, as fractions,
        ``validation_mAP_raw`` and ``validation_mAP_ema``, of which the higher one is drawn. A
        missing metric leaves a gap.
    """
    titles = ["mAP on validation, %", "Training loss"]
    figure = make_subplots(cols=2, subplot_titles=titles, horizontal_spacing=0.08)
    styles = _styles(list(histories))
    shown: set[str] = set()
    # Teachers are drawn first, so that the lines of baseline and student lie above theirs.
    for model in sorted(histories, key=lambda model: not model.startswith("teachers.")):
        history = histories[model]
        series = ([_score(epoch) for epoch in history], [epoch.get("loss") for epoch in history])
        for column, values in enumerate(series, start=1):
            trace = _curve(model, values, styles[model])
            # One entry of the legend for both panels, and for all teachers of one strategy.
            trace.showlegend = trace.name not in shown
            shown.add(trace.name)
            figure.add_trace(trace, row=1, col=column)
    figure.update_xaxes(title="epochs, % of each training", range=[0, 101])
    figure.update_yaxes(rangemode="tozero", row=1, col=2)
    return finish(figure, 460).update_layout(legend={"orientation": "h", "y": -0.22, "x": 0})


def _score(epoch: Mapping[str, float]) -> float | None:
    """Return the validation mAP of the better weights in percent."""
    metrics = ("validation_mAP_raw", "validation_mAP_ema")
    scores = [epoch[metric] for metric in metrics if metric in epoch]
    return 100 * max(scores) if scores else None


def _strategy(model: str) -> str | None:
    return strategy_of(model) if model.startswith(f"{NAMESPACE}.") else None


def _styles(models: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Choose the line style of every model; the teachers of one strategy share one."""
    # dict.fromkeys removes duplicates like a set, but preserves the order.
    strategies = list(dict.fromkeys(filter(None, map(_strategy, models))))
    return {
        model: TEACHERS[strategies.index(strategy) % len(TEACHERS)]
        if (strategy := _strategy(model))
        else LINES[model]
        for model in models
    }


def _curve(model: str, values: Sequence[float | None], line: dict[str, Any]) -> go.Scatter:
    strategy, last = _strategy(model), len(values)
    title = ensemble_title(strategy).removeprefix("Ensemble of ") if strategy else MODELS[model]
    name = plain(f"{title}, {last} epochs")
    short = plain(model.removeprefix("teachers."))
    epochs = list(range(1, last + 1))
    return go.Scatter(
        x=[100 * epoch / last for epoch in epochs],
        y=list(values),
        customdata=epochs,
        mode="lines",
        line=line,
        name=name,
        legendgroup=name,
        hovertemplate=f"{short}, epoch %{{customdata}}: %{{y:.3~g}}<extra></extra>",
    )

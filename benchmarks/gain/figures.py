"""Figures of the studies, from their rows alone."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import plotly.graph_objects as go
from PIL import Image

from gain.report import BASELINE, cost_of, difference, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gain.report import Setting
    from gain.rows import Row

__all__ = ["draw_gain_by_column", "draw_gain_by_cost", "save_image"]

COLOURS = ("#6b7280", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "star")
SIZE = (900, 520)
COSTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)  # marked on the axis
APART = 1.015  # marks of equal cost stand side by side: each series so many times further right
HUES = 64  # enough for lines and text; keeps the file small


def draw_gain_by_cost(
    rows: Sequence[Row], series: dict[str, Callable[[Setting], bool]]
) -> go.Figure:
    """Gain over the baseline on test images against cost, a line for each series of settings."""
    figure = go.Figure()
    for number, (name, fits) in enumerate(series.items()):
        own = sorted(filter(fits, settings(rows)), key=lambda one: cost_of(rows, one))
        gains = [difference(rows, one, BASELINE) for one in own]
        costs = [cost_of(rows, one) * APART**number for one in own]
        figure.add_trace(_line(number, name, costs, gains))
    figure.update_xaxes(title="cost, in baselines", type="log", tickvals=COSTS)
    return _finish(figure, "points of mAP above the baseline")


def draw_gain_by_column(
    rows: Sequence[Row], series: dict[str, Setting], columns: dict[str, float], title: str
) -> go.Figure:
    """Gain over the baseline in several columns, each standing for a number on the x axis."""
    figure = go.Figure()
    for number, (name, setting) in enumerate(series.items()):
        gains = [difference(rows, setting, BASELINE, column) for column in columns]
        figure.add_trace(_line(number, name, list(columns.values()), gains))
    figure.update_xaxes(title=title)
    return _finish(figure, "points of mAP above the baseline")


def save_image(figure: go.Figure, path: Path, browser: str = "chromium") -> None:
    """Let a browser turn a figure into a small PNG file.

    Raises
    ------
    SystemExit
        If there is no such browser.
    """
    program = shutil.which(browser)
    if program is None:
        raise SystemExit(f"no browser '{browser}' to draw {path.name}: install Chromium")
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder) / "figure.html", Path(folder) / "figure.png"
        figure.write_html(page, config={"displayModeBar": False})
        size = f"--window-size={SIZE[0] + 16},{SIZE[1] + 16}"
        headless = [program, "--headless", "--no-sandbox", "--hide-scrollbars", size]
        waiting = ["--virtual-time-budget=10000", f"--screenshot={shot}"]
        subprocess.run([*headless, *waiting, page.as_uri()], check=True, capture_output=True)
        Image.open(shot).convert("RGB").quantize(HUES).save(path, optimize=True)


def _line(
    number: int, name: str, places: Sequence[float], gains: Sequence[tuple[float, float]]
) -> go.Scatter:
    look = {"color": COLOURS[number], "symbol": SYMBOLS[number], "size": 9}
    halves = [half for _, half in gains]
    return go.Scatter(
        x=list(places),
        y=[gain for gain, _ in gains],
        error_y={"array": halves, "thickness": 1, "width": 3},
        name=name,
        mode="lines+markers",
        marker=look,
        line={"color": COLOURS[number], "width": 1.5},
    )


def _finish(figure: go.Figure, title: str) -> go.Figure:
    figure.add_hline(0, line_color="#1b1f24", line_width=1)
    figure.update_yaxes(title=title)
    return figure.update_layout(
        template="plotly_white",
        width=SIZE[0],
        height=SIZE[1],
        font={"family": "system-ui, sans-serif", "size": 14, "color": "#1b1f24"},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.01},
        margin={"l": 60, "r": 20, "t": 60, "b": 50},
    )

"""What all figures share: colours, the models' marks, fonts, and names that are shown as they are.

Colours are of Okabe and Ito's palette, which colour-blind readers can tell apart; whatever a colour
says, a mark, a dash or a place says too.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from plotly.subplots import make_subplots

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

__all__ = [
    "BLUE",
    "GREY",
    "MARKS",
    "MODELS",
    "STRATEGIES",
    "VERMILION",
    "finish",
    "grid",
    "place_of",
    "plain",
    "strategy_title",
]

BLUE, VERMILION, GREY = "#0072b2", "#d55e00", "#6b7280"
MODELS = {
    "baseline": "Baseline",
    "budget_matched_baseline": "Longer baseline",
    "student": "Student",
}
MARKS: dict[str, dict[str, Any]] = {
    "baseline": {"color": VERMILION, "symbol": "circle-open", "size": 9, "line": {"width": 2}},
    "student": {"color": BLUE, "symbol": "diamond", "size": 9},
}
STRATEGIES = {
    "cgp": "Co-occurrence (CGP)",
    "dgp": "Dis-occurrence (DGP)",
    "random": "Random groups",
    "user": "Groups by hand",
    "full_label": "Full-label ensemble",
}
COLUMNS = 2  # panels side by side in a grid


def strategy_title(name: str) -> str:
    """A strategy in words.

    Examples
    --------
    >>> strategy_title("cgp"), strategy_title("mine")
    ('Co-occurrence (CGP)', 'mine')
    """
    return STRATEGIES.get(name, name)


def plain(name: str, longest: int | None = None) -> str:
    """A label's name as plotly shows it letter for letter, cut where it is too long.

    Plotly reads a few tags of HTML in any text.

    Examples
    --------
    >>> plain("<b>R&D</b>"), plain("a long name", longest=7)
    ('&lt;b&gt;R&amp;D&lt;/b&gt;', 'a long…')
    """
    if longest is not None and len(name) > longest:
        name = name[: longest - 1] + "…"
    return escape(name, quote=False)


def finish(figure: go.Figure, height: int) -> go.Figure:
    """Give a figure the common look; its width is that of the page.

    Returns
    -------
    plotly.graph_objects.Figure
        The same object.
    """
    return figure.update_layout(
        template="plotly_white",
        height=height,
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#1b1f24"},
        hoverlabel={"font_size": 13},
        margin={"l": 60, "r": 20, "t": 50, "b": 50},
    )


def grid(titles: Sequence[str], **options: Any) -> go.Figure:
    """Panels in rows of two, one for each title; a single one has the row to itself."""
    columns = min(COLUMNS, len(titles))
    return make_subplots(
        rows=-(-len(titles) // columns), cols=columns, subplot_titles=list(titles), **options
    )


def place_of(panel: int, num_panels: int) -> dict[str, int]:
    """Row and column of a panel of `grid`, from 1; panels are numbered from 0.

    Examples
    --------
    >>> place_of(2, 3)
    {'row': 2, 'col': 1}
    """
    row, column = divmod(panel, min(COLUMNS, num_panels))
    return {"row": row + 1, "col": column + 1}

"""Common style of all figures: colours, marks, fonts, and the arrangement of panels.

The colours are from the palette of Okabe and Ito, which colour-blind readers can distinguish. No
information is given by colour alone: marks, dashes or positions repeat it.
"""

from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

__all__ = ["BLUE", "GREY", "MARKS", "VERMILION", "finish", "grid", "place_of", "plain"]

BLUE, VERMILION, GREY = "#0072b2", "#d55e00", "#6b7280"
MARKS: dict[str, dict[str, Any]] = {
    "baseline": {"color": VERMILION, "symbol": "circle-open", "size": 9, "line": {"width": 2}},
    "student": {"color": BLUE, "symbol": "diamond", "size": 9},
}
COLUMNS = 2  # panels per row


def plain(name: str, longest: int | None = None) -> str:
    """Escape a label's name, because Plotly interprets some HTML tags in every text.

    A name with more than ``longest`` characters is shortened.

    Examples
    --------
    >>> plain("<b>R&D</b>"), plain("a long name", longest=7)
    ('&lt;b&gt;R&amp;D&lt;/b&gt;', 'a long…')
    """
    # Shortened before it is escaped, so that no entity such as "&amp;" is cut in two.
    if longest is not None and len(name) > longest:
        name = name[: longest - 1] + "…"
    return escape(name, quote=False)


def finish(figure: go.Figure, height: int) -> go.Figure:
    """Apply the common style to a figure, and return it; its width is that of the page."""
    return figure.update_layout(
        template="plotly_white",
        height=height,
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#1b1f24"},
        hoverlabel={"font_size": 13},
        margin={"l": 60, "r": 20, "t": 50, "b": 50},
    )


def grid(titles: Sequence[str], **options: Any) -> go.Figure:
    """Make panels in rows of two, one for each title; a single panel fills its row."""
    columns = min(COLUMNS, len(titles))
    return make_subplots(
        rows=-(-len(titles) // columns), cols=columns, subplot_titles=list(titles), **options
    )


def place_of(panel: int, num_panels: int) -> dict[str, int]:
    """Return the row and the column, counted from 1, of a panel of `grid`, counted from 0."""
    row, column = divmod(panel, min(COLUMNS, num_panels))
    return {"row": row + 1, "col": column + 1}

"""The run as one page of HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["render_report"]


def render_report(
    summary: dict[str, Any], label_counts: pd.DataFrame, average_precision: pd.DataFrame
) -> str:
    """Render."""
    return label_counts.to_html() + average_precision.to_html() + str(summary)

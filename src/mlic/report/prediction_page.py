"""A page of new images with their predictions, the most doubtful ones first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from mlic.report.page import make_environment, read_template

__all__ = ["render_predictions"]

MOST_LABELS = 30  # labels in the table; the others are in the files


def render_predictions(summary: Mapping[str, Any]) -> str:
    """Render the predictions of a run as a self-contained HTML5 document; every text is escaped.

    The summary is the result of `mlic.inference.prediction.predict_to_files`.
    """
    environment = make_environment()
    counts = sorted(summary["labels"].items(), key=lambda item: (-item[1], item[0]))
    return environment.get_template("predictions.html").render(
        summary=summary,
        counts=counts[:MOST_LABELS],
        others=max(len(counts) - MOST_LABELS, 0),
        style=Markup(read_template(environment, "report.css")),  # noqa: S704
    )

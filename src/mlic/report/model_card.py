"""Model card: what a trained model is, how good it is, and how it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mlic.report.page import make_environment
from mlic.training.checkpoint import Checkpoint

__all__ = ["write_model_card"]

SCORES = ("mAP", "CF1", "OF1", "macro_F1", "exact_match")


def write_model_card(
    model: Checkpoint, summary: Mapping[str, Any], label_counts: pd.DataFrame
) -> str:
    """Write a model card in Markdown, from the figures of the run that made the model.

    Parameters
    ----------
    model
        The calibrated model.
    summary
        Content of ``summary.json``; scores in percent on the test split.
    label_counts
        Columns ``label``, ``train``, ``validation`` and ``test``; one row for each label.
    """
    info, calibration = model.info, model.calibration
    counts = label_counts.set_index("label").loc[list(info.labels)]
    environment = make_environment()
    environment.autoescape = False  # Markdown, whose cells are escaped below
    return environment.get_template("model_card.md").render(
        info=info,
        fingerprint=model.fingerprint,
        calibration=calibration,
        fit=calibration.made_from.get("fit", "none"),
        data=summary["data"],
        scores=_scores(summary, info.name),
        labels=[
            {
                "name": _cell(name),
                "train": int(row["train"]),
                "test": int(row["test"]),
                "threshold": threshold,
            }
            for (name, row), threshold in zip(
                counts.iterrows(), calibration.thresholds, strict=True
            )
        ],
    )


def _scores(summary: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Scores at 0.5 on the plain sigmoid, and with calibration, each with its interval."""
    plain = summary.get(name, {})
    calibrated = summary.get("calibrated", {}).get(name, {})
    intervals = summary.get("intervals", {}).get(name, {})
    return [
        {
            "name": score.replace("_", " "),
            "plain": plain.get(score),
            "calibrated": calibrated.get(score),
            "interval": intervals.get(score),
        }
        for score in SCORES
        if score in plain or score in calibrated
    ]


def _cell(text: object) -> str:
    """Escape what would end a cell or be taken for HTML in a Markdown table."""
    shown = str(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return " ".join(shown.split())

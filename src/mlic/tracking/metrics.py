"""Names and units of what MLflow shows: the figure first, then whose it is, scores in percent.

The names have no slash, because MLflow makes a section of charts of every prefix before one, and
shows those sections above the charts of a saved view.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlic.tracking.settings import flatten_numbers

__all__ = ["BEST", "run_metrics", "training_metrics"]

BEST = "mAP.best_validation"
_NAMES = {
    "validation_mAP_ema": "mAP.validation",
    "validation_mAP_raw": "mAP.validation_raw",
    "loss": "loss.train",
}


def training_metrics(figures: Mapping[str, float]) -> dict[str, float]:
    """Name the figures of an epoch for MLflow; fractions of mAP become percent.

    Examples
    --------
    >>> training_metrics({"validation_mAP_ema": 0.5, "loss": 0.1, "loss_hard": 0.1})
    {'mAP.validation': 50.0, 'loss.train': 0.1, 'loss.hard': 0.1}
    """
    named = {}
    for name, value in figures.items():
        known = _NAMES.get(name, name.replace("loss_", "loss.", 1))
        named[known] = value * 100 if known.startswith("mAP.") else value
    return named


def run_metrics(figures: Mapping[str, Any]) -> dict[str, float]:
    """Name the main figures of a run: ``mAP.student`` instead of the entry mAP of the student.

    Examples
    --------
    >>> run_metrics({"student": {"mAP": 62.5}, "cost_in_baselines": 5.3, "seconds": {"total": 9}})
    {'mAP.student': 62.5, 'cost_in_baselines': 5.3, 'seconds.total': 9.0}
    """
    named = {}
    for name, value in flatten_numbers(figures).items():
        owner, _, figure = name.rpartition(".")
        is_time = owner == "seconds" or owner.startswith("seconds.")
        named[name if is_time or not owner else f"{figure}.{owner}"] = value
    return named

"""Display names of models and partition strategies.

This module imports nothing heavy, because every command imports it for the terminal output.
"""

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["MODELS", "ensemble_title", "list_models", "strategy_title"]

MODELS = {
    "baseline": "Baseline",
    "budget_matched_baseline": "Budget-matched baseline",
    "student": "Student",
}
_STRATEGIES = {
    "cgp": "Co-occurrence groups (CGP)",
    "dgp": "Dis-occurrence groups (DGP)",
    "random": "Random groups",
    "user": "User-defined groups",
    "full_label": "All labels",
}
_TEACHERS = {
    "cgp": "CGP",
    "dgp": "DGP",
    "random": "random-group",
    "user": "user-group",
    "full_label": "full-label",
}


def strategy_title(name: str) -> str:
    """Return the display name of a partition strategy; an unknown name is returned unchanged."""
    return _STRATEGIES.get(name, name)


def ensemble_title(strategy: str) -> str:
    """Return the display name of all teachers of one strategy, taken as one model."""
    return f"Ensemble of {_TEACHERS.get(strategy, strategy)} teachers"


def list_models(summary: Mapping[str, Any]) -> Iterator[tuple[str, Any, float | None]]:
    """Yield the title, the scores and the training seconds of each model and teacher ensemble.

    ``summary`` is the content of ``summary.json`` or of its pointing game. The student comes last.
    Missing models are left out; missing seconds are None.

    Examples
    --------
    >>> list(list_models({"student": {"mAP": 50.0}, "teachers": {"cgp": {"mAP": 49.0}}}))
    [('Ensemble of CGP teachers', {'mAP': 49.0}, None), ('Student', {'mAP': 50.0}, None)]
    """
    seconds = summary.get("seconds", {})
    for name in ("baseline", "budget_matched_baseline"):
        if name in summary:
            yield MODELS[name], summary[name], seconds.get(name)
    for name, scores in summary.get("teachers", {}).items():
        yield ensemble_title(name), scores, seconds.get("teachers", {}).get(name)
    if "student" in summary:
        yield MODELS["student"], summary["student"], seconds.get("student")

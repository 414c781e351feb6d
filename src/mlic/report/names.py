"""Display names of models and partition strategies.

This module imports nothing, because every command imports it for the terminal output.
"""

from __future__ import annotations

__all__ = ["MODELS", "ensemble_title", "strategy_title"]

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
    """Return the display name of a partition strategy; an unknown name is returned unchanged.

    Examples
    --------
    >>> strategy_title("cgp"), strategy_title("mine")
    ('Co-occurrence groups (CGP)', 'mine')
    """
    return _STRATEGIES.get(name, name)


def ensemble_title(strategy: str) -> str:
    """Return the display name of all teachers of one strategy, taken as one model.

    Examples
    --------
    >>> ensemble_title("cgp")
    'Ensemble of CGP teachers'
    """
    return f"Ensemble of {_TEACHERS.get(strategy, strategy)} teachers"

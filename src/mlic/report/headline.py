"""The headline of the report: the student's gain over the baseline, and its cost."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mlic.report.formatting import number, percent

__all__ = ["write_headline"]


def write_headline(summary: Mapping[str, Any], average_precision: pd.DataFrame) -> dict[str, Any]:
    """Summarise the result of a run in one sentence and up to four numbers.

    The result has a ``sentence`` and ``tiles``, a list of dicts with a ``value`` and its
    ``meaning``. ``average_precision`` is the table of all labels, in percent.
    """
    baseline, student = summary["baseline"].get("mAP"), summary["student"].get("mAP")
    # The summary has no mAP if no label has a positive; the page is written all the same.
    if baseline is None or student is None:
        reason = "no label is present in the test split"
        sentence = f"Baseline and student cannot be compared: {reason}."
        return {"sentence": sentence, "tiles": [_cost(summary)]}
    side = "below" if student < baseline else "above"
    sentence = (
        f"The student reaches {percent(student)} mAP on the test split, "
        f"{number(abs(student - baseline))} points {side} the baseline’s {percent(baseline)}."
    )
    gain = {
        "value": f"{number(student - baseline, sign='+')} points",
        "meaning": "mAP, student minus baseline, for one seed. Repeat the run with several seeds "
        "before relying on a small difference.",
    }
    tiles = [gain, _labels(average_precision), _cost(summary), _control(summary, student)]
    return {"sentence": sentence, "tiles": tiles}


def _labels(average_precision: pd.DataFrame) -> dict[str, str]:
    # Labels without a positive in the test split are neither gains nor losses.
    gains = (average_precision["student"] - average_precision["baseline"]).dropna()
    return {
        "value": f"{(gains > 0).sum()} of {len(gains)} labels",
        "meaning": f"have a higher average precision; {(gains < 0).sum()} have a lower one.",
    }


def _cost(summary: Mapping[str, Any]) -> dict[str, str]:
    """Describe the training cost as a multiple of the baseline's."""
    # Passes over the images follow from the parameters alone; seconds depend on the machine.
    passes, seconds = summary["passes"], summary["seconds"]
    cost = _ratio(passes["psd"], passes["baseline"])
    time = _ratio(seconds["psd"], seconds["baseline"])
    return {
        "value": f"{number(cost, 1)} × baseline",
        "meaning": "training passes of all teachers and the student; "
        f"{number(time, 1)} × in measured time. The student alone is as large as the baseline.",
    }


def _control(summary: Mapping[str, Any], student: float) -> dict[str, str]:
    """Describe the gain over the budget-matched baseline."""
    control = summary.get("budget_matched_baseline", {}).get("mAP")
    # The control is an option: a run without it is complete, and the page must not suggest a fault.
    if control is None:
        return {
            "value": "Optional",
            "meaning": "comparison with a baseline that is trained with the same total budget: add "
            "--params controls.budget_matched_baseline=true.",
        }
    return {
        "value": f"{number(student - control, sign='+')} points",
        "meaning": "mAP, student minus budget-matched baseline, which is trained with the same "
        f"total budget and reaches {percent(control)}.",
    }


def _ratio(value: float, reference: float) -> float | None:
    return value / reference if reference else None

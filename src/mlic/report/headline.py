"""The headline of the report: the student's gain over the baseline, and its cost."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mlic.report.formatting import digits_of, number, percent

__all__ = ["describe_model", "write_headline"]


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
    digits = digits_of(summary["data"]["images"]["test"])
    sentence = (
        f"The student reaches {percent(student, digits)} mAP on the test split, "
        f"{number(abs(student - baseline), digits)} points {side} the baseline’s "
        f"{percent(baseline, digits)}."
    )
    tiles = [
        _gain(summary, student - baseline, digits),
        _labels(average_precision),
        *_decisions(summary, digits),
        _cost(summary),
        *_control(summary, student, digits),
    ]
    return {"sentence": sentence, "tiles": tiles}


def _gain(summary: Mapping[str, Any], gain: float, digits: int) -> dict[str, str]:
    bounds = summary.get("intervals", {}).get("gain_over_baseline")
    images = (
        f"From {number(bounds[0], digits, '+')} to {number(bounds[1], digits, '+')} if the test "
        "images were drawn again (95 %). "
        if bounds
        else ""
    )
    return {
        "value": f"{number(gain, digits, '+')} points",
        "meaning": f"mAP, student minus baseline, for one seed. {images}Repeat the run with "
        "several seeds before relying on a small difference.",
    }


def _decisions(summary: Mapping[str, Any], digits: int) -> list[dict[str, str]]:
    """Describe what calibrated thresholds change."""
    own = {kind: summary.get(kind, {}).get("student", {}) for kind in ("sigmoid", "calibrated")}
    before, after = (own[kind].get("OF1") for kind in ("sigmoid", "calibrated"))
    if before is None or after is None:
        return []
    return [
        {
            "value": f"OF1 {percent(after, digits)}",
            "meaning": "with calibrated probabilities and thresholds; "
            f"{percent(before, digits)} at 0.5 on the plain sigmoid.",
        }
    ]


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


def _control(summary: Mapping[str, Any], student: float, digits: int) -> list[dict[str, str]]:
    """Describe the gain over the budget-matched baseline, if the run has one."""
    control = summary.get("budget_matched_baseline", {}).get("mAP")
    if control is None:
        return []
    return [
        {
            "value": f"{number(student - control, digits, '+')} points",
            "meaning": "mAP, student minus budget-matched baseline, which is trained with the same "
            f"total budget and reaches {percent(control, digits)}.",
        }
    ]


def describe_model(
    trainings: Mapping[str, Mapping[str, Any]], parameters: Mapping[str, Any]
) -> dict[str, str]:
    """Describe the student in a box: what it is, and which file it is."""
    student = trainings["student"]
    return {
        "name": f"{parameters['model']['backbone']}, {parameters['model']['head']} head",
        "fingerprint": student["fingerprint"],
        "file": f"data/06_models/{parameters['environment']}/student.safetensors",
        "environment": parameters["environment"],
    }


def _ratio(value: float, reference: float) -> float | None:
    return value / reference if reference else None

"""The verdict: what the student gained over the baseline, and what that cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlic.report.blocks import number, percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ["judge_run"]


def judge_run(summary: Mapping[str, Any], average_precision: pd.DataFrame) -> dict[str, Any]:
    """Say what the run came to, in a sentence and in a few numbers.

    Parameters
    ----------
    summary
        As `summarise_run` makes it.
    average_precision
        ``baseline`` and ``student`` in percent; a row a label.

    Returns
    -------
    dict
        ``sentence``, and ``tiles``: a list of ``value`` with what it is ``of``.
    """
    baseline, student = summary["baseline"].get("mAP"), summary["student"].get("mAP")
    if baseline is None or student is None:
        told = "Baseline and student cannot be compared: no label has a positive in the test split."
        return {"sentence": told, "tiles": [_cost(summary)]}
    side = "below" if student < baseline else "above"
    sentence = (
        f"The student reaches {percent(student)} mAP on the test split, "
        f"{number(abs(student - baseline))} points {side} the baseline’s {percent(baseline)}."
    )
    gain = {
        "value": f"{number(student - baseline, sign='+')} points",
        "of": "of mAP, student over baseline. One seed is one draw: compare several before a "
        "small difference is believed.",
    }
    tiles = [gain, _labels(average_precision), _cost(summary), _control(summary, student)]
    return {"sentence": sentence, "tiles": tiles}


def _labels(average_precision: pd.DataFrame) -> dict[str, str]:
    gains = (average_precision["student"] - average_precision["baseline"]).dropna()
    return {
        "value": f"{(gains > 0).sum()} of {len(gains)} labels",
        "of": f"gain average precision; {(gains < 0).sum()} lose.",
    }


def _cost(summary: Mapping[str, Any]) -> dict[str, str]:
    """Passes over the training images are a matter of parameters; seconds are of the machine."""
    passes, seconds = summary["passes"], summary["seconds"]
    whole = _ratio(passes["psd"], passes["baseline"])
    timed = _ratio(seconds["psd"], seconds["baseline"])
    return {
        "value": f"{number(whole, 1)} baselines",
        "of": "of training passes for all teachers and the student together; "
        f"{number(timed, 1)} by the clock. The student alone is as large as the baseline.",
    }


def _control(summary: Mapping[str, Any], student: float) -> dict[str, str]:
    longer = summary.get("budget_matched_baseline", {}).get("mAP")
    if longer is None:
        return {
            "value": "No control",
            "of": "The same budget might serve a plain model as well: "
            "--params controls.budget_matched_baseline=true trains one to compare with.",
        }
    return {
        "value": f"{number(student - longer, sign='+')} points",
        "of": f"of mAP over a baseline given all of that budget, which reaches {percent(longer)}.",
    }


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None

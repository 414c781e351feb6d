"""From raw rows to tables and claims: means, paired differences and their intervals."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from common import ROOT, Claim, table
from scipy.stats import t as student_t

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gain.rows import Row

__all__ = [
    "BASELINE",
    "Ingredients",
    "Setting",
    "best",
    "contributions",
    "cost_of",
    "difference",
    "gain_claim",
    "plain_of_equal_cost",
    "settings",
    "summary",
    "unbeaten_claim",
    "write_report",
]

Setting = tuple[str, int, str]  # row name, K (0: no groups) and distiller ("": none)
Ingredients = dict[str, tuple[Setting, Setting]]
"""Settings with and without an ingredient, by what it is."""
BASELINE: Setting = ("baseline", 0, "")
NEAR = 0.05  # costs that differ by less are equal: seconds are measured
RESULTS = ROOT / "benchmarks" / "results" / "psd_gain"


def settings(rows: Sequence[Row]) -> list[Setting]:
    """The settings there are, in the order of their first rows."""
    return list(dict.fromkeys((row["row"], row["parts"], row["distiller"]) for row in rows))


def by_seed(rows: Sequence[Row], setting: Setting) -> dict[int, Row]:
    """The rows of one setting."""
    return {
        row["seed"]: row for row in rows if (row["row"], row["parts"], row["distiller"]) == setting
    }


def mean(rows: Sequence[Row], setting: Setting, split: str, column: str = "mAP") -> float:
    """Mean over seeds."""
    return float(np.mean([row[split][column] for row in by_seed(rows, setting).values()]))


def cost_of(rows: Sequence[Row], setting: Setting, kind: str = "cost") -> float:
    """Mean over seeds, in baselines; ``cost_shared`` on a trunk that is run once."""
    return float(np.mean([row[kind] for row in by_seed(rows, setting).values()]))


def difference(
    rows: Sequence[Row], ours: Setting, other: Setting, column: str = "mAP", split: str = "test"
) -> tuple[float, float]:
    """Mean of the differences seed by seed, and half the width of its 95 % t-interval.

    Examples
    --------
    >>> rows = [
    ...     {"row": r, "parts": 0, "distiller": "", "seed": s, "test": {"mAP": v}}
    ...     for r, s, v in [("a", 0, 3.0), ("a", 1, 5.0), ("b", 0, 1.0), ("b", 1, 2.0)]
    ... ]
    >>> gain, half = difference(rows, ("a", 0, ""), ("b", 0, ""))
    >>> gain, round(half, 2)
    (2.5, 6.35)
    """
    left, right = by_seed(rows, ours), by_seed(rows, other)
    gains = [left[s][split][column] - right[s][split][column] for s in left if s in right]
    if len(gains) < 2:
        return float(np.mean(gains)) if gains else float("nan"), float("inf")
    half = student_t.ppf(0.975, len(gains) - 1) * np.std(gains, ddof=1) / len(gains) ** 0.5
    return float(np.mean(gains)), float(half)


def best(rows: Sequence[Row], fits: Callable[[Setting], bool]) -> Setting:
    """The setting with the highest mAP on validation among those that fit."""
    fitting = list(filter(fits, settings(rows)))
    if not fitting:
        raise SystemExit("there are no rows yet that claims could be made of: run the study first")
    return max(fitting, key=lambda one: mean(rows, one, "validation"))


def plain_of_equal_cost(rows: Sequence[Row], setting: Setting) -> Setting | None:
    """The dearest student of plain teachers for the cost of a setting, if there is any."""
    budget = cost_of(rows, setting) * (1 + NEAR)
    bought = [
        one
        for one in settings(rows)
        if one[0].startswith(("student: plain ×", "student: short plain ×"))
        and one[2] == setting[2]
        and cost_of(rows, one) <= budget
    ]
    return max(bought, key=lambda one: cost_of(rows, one), default=None)


def summary(rows: Sequence[Row]) -> list[dict[str, str]]:
    """One line a setting: test figures over seeds, and differences with intervals.

    What teaches nobody stands before students; of one kind, fewer groups or models come first.
    """

    def place(setting: Setting) -> tuple[bool, str, str, int, float]:
        name, parts, distiller = setting
        kind = name.rstrip("0123456789")
        return bool(distiller), distiller, kind, parts, cost_of(rows, setting)

    return [_line(rows, setting) for setting in sorted(settings(rows), key=place)]


def _line(rows: Sequence[Row], setting: Setting) -> dict[str, str]:
    own = list(by_seed(rows, setting).values())
    values = [row["test"]["mAP"] for row in own]
    plain = plain_of_equal_cost(rows, setting) if setting[2] else None
    name, parts, distiller = setting
    return {
        "row": name,
        "K": str(parts or ""),
        "distiller": distiller,
        "seeds": str(len(own)),
        "mAP": f"{np.mean(values):.2f} ± {np.std(values, ddof=min(1, len(own) - 1)):.2f}",
        "− baseline": _signed(*difference(rows, setting, BASELINE)),
        "− plain of equal cost": _signed(*difference(rows, setting, plain)) if plain else "",
        **{name: f"{mean(rows, setting, 'test', name):.2f}" for name in list(own[0]["test"])[1:]},
        "validation mAP": f"{mean(rows, setting, 'validation'):.2f}",
        **{k: f"{cost_of(rows, setting, k):.1f}" for k in own[0] if k.startswith("cost")},
    }


def contributions(rows: Sequence[Row], ingredients: Ingredients) -> list[dict[str, str]]:
    """One line an ingredient: what it adds to the test figures, as far as there are rows of it."""
    there = settings(rows)
    return [
        {
            "ingredient": name,
            "with − without": f"{_told(ours)} − {_told(other)}",
            "seeds": str(len(by_seed(rows, ours).keys() & by_seed(rows, other).keys())),
            **{
                column: _signed(*difference(rows, ours, other, column))
                for column in next(iter(by_seed(rows, ours).values()))["test"]
            },
            "validation mAP": _signed(*difference(rows, ours, other, split="validation")),
            "cost": f"{cost_of(rows, ours) - cost_of(rows, other):+.1f}",
        }
        for name, (ours, other) in ingredients.items()
        if ours in there and other in there
    ]


def _signed(value: float, half: float) -> str:
    return f"{value:+.2f} ± {half:.2f}"


def gain_claim(
    name: str,
    rows: Sequence[Row],
    ours: Setting,
    other: Setting,
    least: float = 0.0,
    column: str = "mAP",
) -> Claim:
    """A gain of at least so much on the test images, and an interval clear of zero."""
    value, half = difference(rows, ours, other, column)
    goal = f"≥ {least:g}, interval above 0" if least else "interval above 0"
    told = f"{_told(ours)} − {_told(other)}: points of {column} ± {half:.2f}"
    seeds = sorted(by_seed(rows, ours).keys() & by_seed(rows, other).keys())
    return Claim(name, round(value, 3), told, goal, bool(value - half > 0 <= value - least), seeds)


def unbeaten_claim(name: str, rows: Sequence[Row], ours: Setting) -> Claim:
    """No student that costs no more is clearly better on validation."""
    budget = cost_of(rows, ours) * (1 + NEAR)

    def rivals(one: Setting) -> bool:
        return one[0].startswith("student") and one != ours and cost_of(rows, one) <= budget

    other = best(rows, rivals)
    value, half = difference(rows, ours, other, split="validation")
    told = f"{_told(ours)} − {_told(other)}: points of validation mAP ± {half:.2f}"
    seeds = sorted(by_seed(rows, ours).keys() & by_seed(rows, other).keys())
    goal = "interval not below 0"
    return Claim(name, round(value, 3), told, goal, bool(value + half >= 0), seeds)


def _told(setting: Setting) -> str:
    name, parts, distiller = setting
    return ", ".join([name, *([f"K = {parts}"] if parts else []), *([distiller] * bool(distiller))])


def write_report(
    study: str,
    header: dict[str, Any],
    rows: list[Row],
    claims: list[Claim],
    ingredients: Ingredients,
) -> None:
    """Write ``<study>.md`` and ``<study>.json`` beside the raw rows."""
    listed = [asdict(claim) for claim in claims]
    added = contributions(rows, ingredients)
    parts = [
        f"# psd_gain, {study}",
        "\n".join(f"- {name}: {value}" for name, value in header.items()),
        table(summary(rows)),
        "## What each ingredient adds",
        "Points on the test images, paired 95 % intervals; cost in baselines.",
        table(added),
        "## Claims",
        table(listed),
    ]
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{study}.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    document = {"header": header, "claims": listed, "ingredients": added}
    text = json.dumps(document, indent=1, ensure_ascii=False)
    (RESULTS / f"{study}.json").write_text(text + "\n", encoding="utf-8")

"""From rows to tables and claims: means over seeds, paired differences and their intervals.

Rows are a table with the index (row, parts, distiller, seed) and columns such as ``cost``,
``validation mAP`` and ``test mAP``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from common import Claim
from pandas import DataFrame
from scipy.stats import t as student_t

Setting = tuple[str, int, str]  # row name, K (0: no label groups) and distiller ("": none)
Ingredient = tuple[str, Setting, Setting]  # what it is, the setting with it and the one without
BASELINE: Setting = ("baseline", 0, "")
LONGER = "budget-matched baseline"
TOLERANCE = 0.05  # costs within 5 % count as equal, because seconds are measured
FULL_LABEL_STUDENTS = ("student: full-label ×", "student: short full-label ×")


def settings(rows: DataFrame) -> list[Setting]:
    """All settings that there are rows of."""
    return list(rows.index.droplevel("seed").unique())


def is_student(setting: Setting) -> bool:
    """Whether a setting is a student, not a baseline or an ensemble of teachers."""
    return setting[0].startswith("student")


def cost_of(rows: DataFrame, setting: Setting, kind: str = "cost") -> float:
    """Mean cost over seeds, in baseline trainings; ``cost_shared``: on a trunk that runs once."""
    return float(rows.loc[setting, kind].mean())


def difference(
    rows: DataFrame, ours: Setting, other: Setting, column: str = "test mAP"
) -> tuple[float, float]:
    """Mean of the differences seed by seed, and half the width of its 95 % t-interval.

    Where each seed has test images of its own, the column ``overlap`` says how many there are per
    training image. The training images of two seeds then overlap, and the variance of the mean is
    ``(1 / n + overlap) · s²`` (Nadeau and Bengio, "Inference for the generalization error", Machine
    Learning 52, 2003).

    Examples
    --------
    >>> import pandas as pd
    >>> index = [(name, 0, "", seed) for name in "ab" for seed in (0, 1)]
    >>> names = ["row", "parts", "distiller", "seed"]
    >>> rows = pd.DataFrame(
    ...     {"test mAP": [3.0, 5.0, 1.0, 2.0]}, pd.MultiIndex.from_tuples(index, names=names)
    ... )
    >>> gain, half = difference(rows, ("a", 0, ""), ("b", 0, ""))
    >>> gain, round(half, 2)
    (2.5, 6.35)
    """
    gains = (rows.loc[ours, column] - rows.loc[other, column]).dropna()
    if len(gains) < 2:  # one difference says nothing about its spread
        return float(gains.mean()), float("inf")
    overlap = rows["overlap"].max() if "overlap" in rows else 0.0
    error = gains.std(ddof=1) * (1 / len(gains) + overlap) ** 0.5
    return float(gains.mean()), float(student_t.ppf(0.975, len(gains) - 1) * error)


def best(rows: DataFrame, fits: Callable[[Setting], bool]) -> Setting:
    """The setting with the highest validation mAP among those that fit.

    Raises
    ------
    SystemExit
        If no row fits.
    """
    fitting = list(filter(fits, settings(rows)))
    if not fitting:
        raise SystemExit("there are no rows to make claims of yet: run the study first")
    return max(fitting, key=lambda one: rows.loc[one, "validation mAP"].mean())


def full_label_of_equal_cost(rows: DataFrame, setting: Setting) -> Setting | None:
    """The most expensive student of full-label teachers that costs no more than a setting."""
    budget = cost_of(rows, setting) * (1 + TOLERANCE)
    affordable = [
        one
        for one in settings(rows)
        if one[0].startswith(FULL_LABEL_STUDENTS)
        and one[2] == setting[2]
        and cost_of(rows, one) <= budget
    ]
    return max(affordable, key=lambda one: cost_of(rows, one), default=None)


def summary(rows: DataFrame) -> list[dict[str, str]]:
    """One line per setting: test figures over seeds, and differences with intervals.

    Baselines and ensembles come before students; within a kind, fewer groups or teachers first.
    """

    def place(setting: Setting) -> tuple[str, str, int, float]:
        name, parts, distiller = setting
        return distiller, name.rstrip("0123456789"), parts, cost_of(rows, setting)

    return [_summarise(rows, setting) for setting in sorted(settings(rows), key=place)]


def _summarise(rows: DataFrame, setting: Setting) -> dict[str, str]:
    own, (name, parts, distiller) = rows.loc[setting], setting
    equal = full_label_of_equal_cost(rows, setting) if distiller else None
    spread = own["test mAP"].std(ddof=min(1, len(own) - 1))
    others = [c for c in own if c.startswith("test ") and c != "test mAP" and own[c].notna().any()]
    return {
        "row": name,
        "K": str(parts or ""),
        "distiller": distiller,
        "seeds": str(len(own)),
        "mAP": f"{own['test mAP'].mean():.2f} ± {spread:.2f}",
        "− baseline": _signed(*difference(rows, setting, BASELINE)),
        "− full-label of equal cost": _signed(*difference(rows, setting, equal)) if equal else "",
        **{column.removeprefix("test "): f"{own[column].mean():.2f}" for column in others},
        "validation mAP": f"{own['validation mAP'].mean():.2f}",
        **{column: f"{own[column].mean():.1f}" for column in own if column.startswith("cost")},
    }


def contributions(rows: DataFrame, ingredients: Iterable[Ingredient]) -> list[dict[str, str]]:
    """One line per ingredient that there are rows of: what it adds to the test figures."""
    there, found = settings(rows), []
    columns = [column for column in rows if column.startswith("test ")]
    for name, ours, other in ingredients:
        if ours not in there or other not in there:
            continue
        gains = {c: _signed(*difference(rows, ours, other, c)) for c in columns}
        found.append(
            {
                "ingredient": name,
                "with − without": f"{_describe(ours)} − {_describe(other)}",
                "seeds": str(len(_common_seeds(rows, ours, other))),
                **{column.removeprefix("test "): gain for column, gain in gains.items()},
                "validation mAP": _signed(*difference(rows, ours, other, "validation mAP")),
                "cost": f"{cost_of(rows, ours) - cost_of(rows, other):+.1f}",
            }
        )
    return found


def gain_claim(
    rows: DataFrame,
    name: str,
    ours: Setting,
    other: Setting,
    least: float = 0.0,
    column: str = "mAP",
) -> Claim:
    """Claim a gain of at least `least` points on the test images, with an interval above zero."""
    value, half = difference(rows, ours, other, f"test {column}")
    goal = f"≥ {least:g}, interval above 0" if least else "interval above 0"
    unit = f"{_describe(ours)} − {_describe(other)}: points of {column} ± {half:.2f}"
    holds = bool(value - half > 0 <= value - least)
    return Claim(name, round(value, 3), unit, goal, holds, _common_seeds(rows, ours, other))


def unbeaten_claim(rows: DataFrame, name: str, ours: Setting) -> Claim:
    """Claim that no student of at most the same cost is clearly better on validation images."""
    budget = cost_of(rows, ours) * (1 + TOLERANCE)
    rival = best(rows, lambda one: is_student(one) and one != ours and cost_of(rows, one) <= budget)
    value, half = difference(rows, ours, rival, "validation mAP")
    unit = f"{_describe(ours)} − {_describe(rival)}: points of validation mAP ± {half:.2f}"
    seeds, holds = _common_seeds(rows, ours, rival), bool(value + half >= 0)
    return Claim(name, round(value, 3), unit, "interval not below 0", holds, seeds)


def _common_seeds(rows: DataFrame, ours: Setting, other: Setting) -> list[int]:
    return sorted({*rows.loc[ours].index} & {*rows.loc[other].index})


def _signed(value: float, half: float) -> str:
    return f"{value:+.2f} ± {half:.2f}"


def _describe(setting: Setting) -> str:
    name, parts, distiller = setting
    return ", ".join([name, *([f"K = {parts}"] if parts else []), *([distiller] * bool(distiller))])

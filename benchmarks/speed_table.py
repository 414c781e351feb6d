"""README's table of what PSD costs and of what is fast, from the committed results.

    python benchmarks/speed_table.py

It measures nothing: run the other scripts with --write first. `tests/benchmarks` holds README
against it.
"""

from __future__ import annotations

import json
import statistics
from typing import Any

from common import ROOT

README, BEGIN, END = ROOT / "README.md", "<!-- speed: made by script -->", "<!-- end of speed -->"
SCRIPTS = (
    "cached_targets",
    "joint_teachers",
    "whole_cost",
    "data_loading",
    "asymmetric_loss",
    "metrics",
    "label_scale",
    "startup",
)


def main() -> None:
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{render()}\n{END}{after}", encoding="utf-8")


def render() -> str:
    """Both tables, Markdown."""
    return f"{render_costs(read('whole_cost')['rows'])}\n\n{render_claims()}"


def read(script: str) -> dict[str, Any]:
    file = ROOT / "benchmarks" / "results" / f"{script}.json"
    return dict(json.loads(file.read_text(encoding="utf-8")))


def render_costs(rows: list[dict[str, Any]]) -> str:
    """The price of the whole method in plain trainings, one saving after another."""
    lines = ["| teachers, targets and student, in plain trainings | measured |", "|---|---|"]
    steps = {
        "ten trainings, and a student that calls ten teachers at every step": slow,
        "targets written once": cached,
        "all teachers in one pass, their trunk learning with them (`joint`, the default)": joint,
        "or on the baseline's frozen trunk, the baseline counted (`frozen`)": frozen,
    }
    for name, cost in steps.items():
        lines.append(f"| {name} | {statistics.median(map(cost, rows)):.2f} |")
    return "\n".join(lines)


def slow(row: dict[str, Any]) -> float:
    return float((row["slow teachers s"] + row["slow student s"]) / row["plain epoch s"])


def cached(row: dict[str, Any]) -> float:
    said = row["one view s"] * row["views"] / row["epochs"]
    student = row["student s"] / row["baseline s"]
    return float((row["slow teachers s"] + said) / row["plain epoch s"] + student)


def joint(row: dict[str, Any]) -> float:
    return float((row["joint s"] + row["student s"]) / row["baseline s"])


def frozen(row: dict[str, Any]) -> float:
    return float((row["baseline s"] + row["frozen s"] + row["student s"]) / row["baseline s"])


def render_claims() -> str:
    """Every claim of speed, with its goal."""
    lines = ["| claim | measured | goal | holds | script |", "|---|---|---|---|---|"]
    for script in SCRIPTS:
        link = f"[{script}](benchmarks/results/{script}.md)"
        for claim in read(script)["claims"]:
            value, holds = (
                f"{claim['value']:.3g} {claim['unit']}",
                "yes" if claim["holds"] else "no",
            )
            lines.append(f"| {claim['name']} | {value} | {claim['goal']} | {holds} | {link} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""README's tables of what PSD costs, of what is fast, and of what is gained.

    python benchmarks/readme_tables.py

It measures nothing: run the other scripts with --write first. `tests/benchmarks` holds README
against it.
"""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING, Any

from common import ROOT

if TYPE_CHECKING:
    from pathlib import Path

README = ROOT / "README.md"
STUDIES = {  # of psd_gain.py, and the images of each
    "narrow": "Corel5k, MobileNetV2-0.35 fine-tuned at 96 px",
    "wide": "Corel5k, one hidden layer on frozen features",
    "ucmerced_5": "UC Merced, 5 images a class, fine-tuned",
    "ucmerced_10": "UC Merced, 10 images a class, fine-tuned",
    "ucmerced_20": "UC Merced, 20 images a class, fine-tuned",
    "shift": "drawn scenes whose company is broken in the test images",
}
SHOWN = (  # beginnings of the claims that README tells; each study's page has them all
    "student_above_baseline",
    "any_student_above_baseline",
    "short_mixed_above_two_plain",
    "groups_above_plain_of_equal_cost",
    "groups_above_random_groups",
    "default_committee",
)
LADDER = "narrow"  # the study of which it tells what each ingredient adds
COLUMNS = {  # of a study's figures that README shows, and their names there
    "mAP": "mAP",
    "mAP_all": "mAP, all words",
    "out_of_context_mAP": "out of context",
    "mAP at shift 1": "company broken",
    "cost": "cost, in baselines",
}
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
    for block in blocks():
        begin, *_, end = block.splitlines()
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{block}{after}"
    README.write_text(text, encoding="utf-8")


def blocks() -> list[str]:
    """What stands in README between two marks, marks included."""
    costs = render_costs(read("whole_cost")["rows"])
    demo = render_demo(read("demo_gain"))
    tables = {"demo": demo, "gain": render_gains(), "speed": f"{costs}\n\n{render_claims()}"}
    return [
        f"<!-- {name}: made by script -->\n{table}\n<!-- end of {name} -->"
        for name, table in tables.items()
    ]


def render_demo(kept: dict[str, Any]) -> str:
    """Figures of all models on the embedded scenes, and the student's gains."""
    rows = kept["rows"]
    names = {
        "baseline": "baseline",
        "budget_matched_baseline": "baseline with PSD's whole budget, "
        f"{rows[0]['budget_epochs']} epochs",
        "cgp": "the CGP teachers together, one training with DGP's",
        "dgp": "the DGP teachers together",
        "student": "**student**",
    }
    lines = [f"| on the embedded scenes, {len(rows)} seeds | mAP, mean ± sd |", "|---|---|"]
    for name, told in names.items():
        values = [row[name] for row in rows]
        lines.append(
            f"| {told} | {statistics.fmean(values):.1f} ± {statistics.stdev(values):.1f} |"
        )
    for claim in kept["claims"][:2]:
        other = claim["name"].removeprefix("student_above_")
        gain, half = f"{claim['value']:+.2f}", claim["unit"].rpartition(" ± ")[2]
        lines.append(f"| student − {names[other]}, paired 95 % interval | {gain} ± {half} |")
    return "\n".join(lines)


def render_gains() -> str:
    """What was asked of every study that has been run, what came out, and what earned it."""
    found = {study: read(f"psd_gain/{study}") for study in STUDIES if result_of(study).is_file()}
    if not found:
        return "No study has been run to its end yet."
    titles = ("images", "points, paired 95 % interval", "goal", "seeds", "holds")
    head = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for study, kept in found.items():
        for claim in kept["claims"]:
            if not claim["name"].startswith(SHOWN):
                continue
            compared, _, column = claim["unit"].rpartition(": points of ")
            column, _, half = column.partition(" ± ")
            told = f"{compared}: {claim['value']:+.2f} ± {half} {column}"
            holds = "yes" if claim["holds"] else "no"
            cells = [STUDIES[study], told, claim["goal"], str(len(claim["seeds"])), holds]
            head.append(f"| {' | '.join(cells)} |")
    ladder = render_ladder(LADDER, found[LADDER]["ingredients"]) if LADDER in found else ""
    lines = dict.fromkeys(head)  # a setting may be the best of several kinds: told once
    return "\n\n".join(["\n".join(lines), ladder]).strip()


def render_ladder(study: str, ingredients: list[dict[str, str]]) -> str:
    """What each ingredient adds to the mAP of a study, of all words, and out of context."""
    columns = [name for name in ingredients[0] if name in COLUMNS]
    lines = [
        f"What each ingredient adds, {STUDIES[study]}:\n",
        f"| ingredient | {' | '.join(map(COLUMNS.__getitem__, columns))} | seeds |",
        "|---" * (len(columns) + 2) + "|",
    ]
    for line in ingredients:
        cells = [line["ingredient"], *(line[name] for name in columns), line["seeds"]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def result_of(study: str) -> Path:
    """Where the claims of a study lie, once they have been written."""
    return ROOT / "benchmarks" / "results" / "psd_gain" / f"{study}.json"


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

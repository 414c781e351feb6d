"""Write the tables of README.md and of pages in docs from the committed results.

    python benchmarks/readme_tables.py

This script measures nothing: run the other scripts with --write first. `tests/benchmarks` checks
that the pages show what this script makes of the results.
"""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING, Any

import pandas as pd
from common import ROOT
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RESULTS = ROOT / "benchmarks" / "results"
README = ROOT / "README.md"
RESULTS_PAGE = ROOT / "docs" / "results.md"
COST_PAGE = ROOT / "docs" / "cost.md"
KNOWN_PAGE = ROOT / "docs" / "known_labels.md"
STORES_PAGE = ROOT / "docs" / "storing_images.md"
SCALING_PAGE = ROOT / "docs" / "scaling.md"
STOPPED_PAGE = ROOT / "docs" / "stopped_runs.md"
USING_PAGE = ROOT / "docs" / "using_a_model.md"

STUDIES = {  # of psd_gain.py, and the images of each
    "finetune": "Corel5k, MobileNetV2-0.35 fine-tuned at 96 px",
    "frozen_features": "Corel5k, one hidden layer on frozen features",
    "ucmerced_5": "UC Merced, 5 images per class, fine-tuned",
    "ucmerced_10": "UC Merced, 10 images per class, fine-tuned",
    "ucmerced_20": "UC Merced, 20 images per class, fine-tuned",
    "shift": "synthetic scenes with other co-occurrence in the test images",
}
MAIN_STUDY = "finetune"  # the study whose models README shows, and whose ingredients are listed
MODELS = {  # README's rows: name of the row in the study's results -> name in README
    "baseline": "baseline",
    "budget-matched baseline": "baseline trained with the whole budget of PSD",
    "student: full-label × 1": "student of one teacher of all labels (self-distillation)",
    "student: full-label × 2": "student of two teachers of all labels",
    "student: random + random": "student of random groups",
    "student: CGP + DGP": "student of CGP + DGP",
    "student: full-label + CGP + DGP": "**student of the baseline + CGP + DGP (default)**",
    "ensemble: full-label + CGP + DGP": "its teachers as an ensemble, without a student",
}
COLUMNS = {  # columns of an ingredient that are shown, and their headings
    "mAP": "mAP",
    "mAP_all": "mAP, all words",
    "out_of_context_mAP": "out of context",
    "mAP at shift 1": "co-occurrence broken",
    "cost": "cost, in baselines",
}
SCRIPTS = (  # the benchmarks whose claims docs/cost.md lists, in this order
    "cached_targets",
    "joint_teachers",
    "whole_cost",
    "data_loading",
    "asymmetric_loss",
    "metrics",
    "label_scale",
    "startup",
    "inference",
)
CALIBRATION_METHODS = {  # (calibration, thresholds) -> its name on the page
    ("sigmoid", "0.5"): "sigmoid, 0.5",
    ("link", "expected_f1"): "link, expected F1: no label used",
    ("link + fit", "expected_f1"): "link and fit, expected F1 (default)",
    ("link + fit", "tuned_f1"): "link and fit, tuned for each label",
    ("Platt, per label (scikit-learn)", "0.5"): "Platt for each label (scikit-learn), 0.5",
}
CALIBRATION_FIGURES = ("ECE", "log-loss", "CF1", "macro F1", "OF1", "exact match")
KNOWN = {  # README's rows of known_labels.py: name of the row -> name in README
    "linear, refiner": "linear head, refiner",
    "C-Tran and refiner": "C-Tran, refiner",
}
COSTS = {  # README's other costs: (script, beginning of the claim's name) -> name in README
    ("cached_targets", "student epoch with cached targets"): "an epoch of the student with stored "
    "targets, in epochs of the baseline",
    ("asymmetric_loss", "asymmetric loss, compiled / eager BCE, forward and backward, 256 x 80"): ""
    "the asymmetric loss, compiled, in binary cross-entropies",
}


def main() -> None:
    for page, blocks in pages().items():
        text = page.read_text(encoding="utf-8")
        for block in blocks:
            begin, *_, end = block.splitlines()
            before, _, rest = text.partition(begin)
            _, _, after = rest.partition(end)
            text = f"{before}{block}{after}"
        page.write_text(text, encoding="utf-8")


def pages() -> dict[Path, list[str]]:
    """The blocks of each page, marks included."""
    cost = render_costs(read("whole_cost")["rows"])
    return {
        README: [
            mark("models", render_models()),
            mark("known", render_known(read("known_labels")["rows"])),
            mark("costs", f"{cost}\n{render_main_costs()}"),
        ],
        KNOWN_PAGE: [
            mark("known labels", render_rows(read("known_labels")["rows"])),
            mark("label context", render_rows(read("label_context")["rows"])),
            mark("c-tran student", render_rows(read("c_tran_student")["rows"])),
            mark("claims", render_claims(("known_labels", "label_context", "c_tran_student"))),
        ],
        RESULTS_PAGE: [
            mark("demo", render_demo(read("demo_gain"))),
            mark("claims", render_claims_of_gain()),
            mark("ingredients", render_ingredients()),
        ],
        USING_PAGE: [
            mark("calibration", render_calibration(read("calibration")["rows"])),
            mark("claims", render_claims(("calibration", "label_issues"))),
        ],
        STORES_PAGE: [
            *(
                mark(name, render_part(read("image_stores")["rows"], name))
                for name in ("stores", "codecs", "formats", "memory")
            ),
            mark("claims", render_claims(("image_stores",))),
        ],
        SCALING_PAGE: [mark("label table", render_claims(("label_table",)))],
        STOPPED_PAGE: [
            mark("kills", render_rows(read("kill_resume")["rows"])),
            mark("claims", render_claims(("kill_resume", "robustness"))),
        ],
        COST_PAGE: [mark("whole cost", cost), mark("speed", render_claims(SCRIPTS))],
    }


def mark(name: str, table: str) -> str:
    """Put a table between the two comments that mark its place on a page."""
    return f"<!-- {name}: made by script -->\n{table}\n<!-- end of {name} -->"


def read(result: str) -> dict[str, Any]:
    """The JSON document of a result, by its name below benchmarks/results."""
    return dict(json.loads((RESULTS / f"{result}.json").read_text(encoding="utf-8")))


def render_table(titles: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; a row that appears again is left out."""
    lines = [f"| {' | '.join(cells)} |" for cells in (titles, *rows)]
    lines.insert(1, "|---" * len(titles) + "|")
    return "\n".join(dict.fromkeys(lines))


def render_models() -> str:
    """Quality and cost of the models of the main study, with paired intervals over its seeds."""
    rows = pd.read_csv(RESULTS / "psd_gain" / f"{MAIN_STUDY}.csv", keep_default_na=False)
    rows = rows[rows["distiller"].isin(["", "binary_kl"])]  # logit_mse is the published distiller
    figures = rows.pivot_table(index="seed", columns="row", values="test mAP")
    costs = rows.groupby("row")["cost"].mean()
    cells = []
    for name, shown in MODELS.items():
        values = figures[name].dropna()
        gains = (values - figures["baseline"]).dropna()
        # Student's t: the seeds are few
        half = stats.t.ppf(0.975, len(gains) - 1) * gains.std() / len(gains) ** 0.5
        gain = "" if name == "baseline" else f"{gains.mean():+.2f} ± {half:.2f}"
        mean = f"{values.mean():.2f} ± {values.std():.2f}"
        cells.append([shown, mean, gain, f"{costs[name]:.1f}"])
    titles = ["model", "mAP, mean ± sd", "− baseline, 95 % interval", "training cost"]
    return render_table(titles, cells)


def render_demo(result: dict[str, Any]) -> str:
    """Figures of all models on the synthetic images, and the student's gains."""
    rows = result["rows"]
    epochs = rows[0]["budget_epochs"]
    names = {
        "baseline": "baseline",
        "budget_matched_baseline": f"baseline with the whole budget of PSD, {epochs} epochs",
        "cgp": "ensemble of the CGP teachers, trained jointly with those of DGP",
        "dgp": "ensemble of the DGP teachers",
        "student": "**student**",
    }
    cells = []
    for name, shown in names.items():
        values = [row[name] for row in rows]
        cells.append([shown, f"{statistics.fmean(values):.1f} ± {statistics.stdev(values):.1f}"])
    for claim in result["claims"]:
        name = claim["name"].removeprefix("student_above_")
        if name != claim["name"]:
            half = claim["unit"].rpartition(" ± ")[2]
            shown = f"student − {names[name]}, paired 95 % interval"
            cells.append([shown, f"{claim['value']:+.2f} ± {half}"])
    return render_table([f"on the synthetic images, {len(rows)} seeds", "mAP, mean ± sd"], cells)


def render_claims_of_gain() -> str:
    """All claims of all studies: what was compared, the outcome and the goal."""
    rows = []
    for study, images in STUDIES.items():
        for claim in read(f"psd_gain/{study}")["claims"]:
            compared, _, column = claim["unit"].rpartition(": points of ")
            column, _, half = column.partition(" ± ")
            outcome = f"{compared}: {claim['value']:+.2f} ± {half} {column}"
            holds = "yes" if claim["holds"] else "no"
            rows.append([images, outcome, claim["goal"], str(len(claim["seeds"])), holds])
    return render_table(["images", "points, paired 95 % interval", "goal", "seeds", "holds"], rows)


def render_ingredients() -> str:
    """What each ingredient of the main study adds to its figures."""
    ingredients = read(f"psd_gain/{MAIN_STUDY}")["ingredients"]
    columns = [name for name in ingredients[0] if name in COLUMNS]
    rows = [
        [line["ingredient"], *(line[name] for name in columns), line["seeds"]]
        for line in ingredients
    ]
    return render_table(["ingredient", *(COLUMNS[name] for name in columns), "seeds"], rows)


def render_costs(rows: list[dict[str, Any]]) -> str:
    """The cost of teachers, targets and student in baseline trainings, one saving after another."""
    steps = {
        "ten teachers trained apart, all called at every step of the student": live_targets,
        "the same, targets stored once (`separate`)": cached_targets,
        "all teachers in one training, their trunk learns (`joint`, the default)": joint_teachers,
        "on the frozen layers of the baseline, its training included (`frozen`)": frozen_teachers,
    }
    cells = [
        [name, f"{statistics.median(map(cost, rows)):.2f} trainings"]
        for name, cost in steps.items()
    ]
    return render_table(["ten teachers, targets and student cost", "measured"], cells)


def live_targets(row: dict[str, Any]) -> float:
    """Teachers trained apart and called at every step of the student."""
    return float((row["slow teachers s"] + row["slow student s"]) / row["plain epoch s"])


def cached_targets(row: dict[str, Any]) -> float:
    """Teachers trained apart, whose targets are stored once per view."""
    targets = row["one view s"] * row["views"] / row["epochs"]
    student = row["student s"] / row["baseline s"]
    return float((row["slow teachers s"] + targets) / row["plain epoch s"] + student)


def joint_teachers(row: dict[str, Any]) -> float:
    """All teachers in one training."""
    return float((row["joint s"] + row["student s"]) / row["baseline s"])


def frozen_teachers(row: dict[str, Any]) -> float:
    """Teachers on the frozen layers of the baseline, whose training counts."""
    return float((row["baseline s"] + row["frozen s"] + row["student s"]) / row["baseline s"])


def render_main_costs() -> str:
    """README's further rows of the cost table, without a heading."""
    lines = []
    for (script, beginning), shown in COSTS.items():
        claims = read(script)["claims"]
        claim = next(claim for claim in claims if claim["name"].startswith(beginning))
        lines.append(f"| {shown} | {measured(claim)} (goal {claim['goal']}) |")
    return "\n".join(lines)


def measured(claim: dict[str, Any]) -> str:
    """Value and unit of a claim, shortened."""
    return f"{claim['value']:.3g} {claim['unit']}"


def render_calibration(rows: list[dict[str, Any]]) -> str:
    """What calibration and thresholds make of the student, for each data set."""
    titles = ["data", "probabilities, thresholds", *CALIBRATION_FIGURES]
    cells = []
    for row in rows:
        shown = CALIBRATION_METHODS.get((row["calibration"], row["thresholds"]))
        if row["model"].startswith("student") and shown:
            cells.append([row["dataset"], shown, *(row[name] for name in CALIBRATION_FIGURES)])
    return render_table(titles, cells)


def render_known(rows: list[dict[str, Any]]) -> str:
    """README's rows: what known labels are worth."""
    shown = [row | {"model": KNOWN[row["model"]]} for row in rows if row["model"] in KNOWN]
    return render_rows([{k: v for k, v in row.items() if "−" not in k} for row in shown])


def render_rows(rows: list[dict[str, Any]]) -> str:
    """All rows and columns of a result, as they are."""
    return render_table(list(rows[0]), [[str(value) for value in row.values()] for row in rows])


def render_part(rows: list[dict[str, Any]], name: str) -> str:
    """The rows of one table of a result that has several, and the columns that they have."""
    part = [row for row in rows if row["table"] == name]
    columns = [column for column in part[0] if column != "table" and part[0][column] != ""]
    cells = [[_short(row[column]) for column in columns] for row in part]
    return render_table(columns, cells)


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (
        f"{value:.3g}"
        if isinstance(value, float) and abs(value) < 1000
        else (f"{value:.0f}" if isinstance(value, float) else str(value))
    )


def render_claims(scripts: Iterable[str]) -> str:
    """Every claim of some scripts, with its goal."""
    rows = []
    for script in scripts:
        link = f"[{script}](../benchmarks/results/{script}.md)"
        for claim in read(script)["claims"]:
            holds = "yes" if claim["holds"] else "no"
            rows.append([claim["name"], measured(claim), claim["goal"], holds, link])
    return render_table(["claim", "measured", "goal", "holds", "script"], rows)


if __name__ == "__main__":
    main()

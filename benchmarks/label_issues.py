"""How many of the label states to check are wrong, on scenes whose noise is known.

    python benchmarks/label_issues.py [--quick] [--write] [--seeds N] [--first SEED]

Each seed draws scenes with 5 % of every label's present states moved to other images, and runs the
default pipelines up to the student. Precision is the share of truly wrong states among the first 50
of a ranking of all states, and among as many as there are errors. cleanlab (AGPL, no dependency of
mlic) ranks the calibrated probabilities of the student beside it, if LABEL_ISSUES_PYTHON names the
Python of an environment in which it is installed (``pip install cleanlab``). Runs are kept in the
system's temporary folder, and a script that was stopped continues.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, Claim, emit
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from numpy.typing import NDArray

from mlic.caching.code_version import training_code_version
from mlic.config.parameters import check_parameters
from mlic.evaluation.label_issues import error_probabilities
from mlic.images.synthetic.scenes import draw_scenes
from mlic.report.calibration import model_calibrations
from mlic.report.error_analysis import mean_odds
from mlic.utils.seeds import derive_seed

SEEDS, FIRST = 5, 100  # the method was chosen on seed 0
TOP = 50
NEEDED = "data_preparation,label_statistics,graph_partition,baseline_training,teacher_training"
PIPELINES = [*NEEDED.split(","), "distillation", "calibration", "reporting"]
QUICK = {
    "synthetic": {"num_images": 400},
    "training": {"epochs": 2, "teacher_epoch_factor": 1, "student_epoch_factor": 1},
    "partition": {"num_parts": 2},
}
CLEANLAB = """
import sys, numpy as np
from cleanlab.internal.multilabel_scorer import MultilabelScorer, ClassLabelScorer
given = np.load(sys.argv[1])
scorer = MultilabelScorer(ClassLabelScorer.SELF_CONFIDENCE, aggregator=lambda s, **_: s.min(axis=1))
scores = scorer.get_class_label_quality_scores(given["states"], given["probabilities"])
np.save(sys.argv[2], scores)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed of few images and epochs")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    parser.add_argument("--seeds", type=int, help=f"number of seeds, by default {SEEDS}")
    parser.add_argument("--first", type=int, default=FIRST, help="the first seed")
    options = parser.parse_args()
    number = options.seeds or (1 if options.quick else SEEDS)
    seeds = list(range(options.first, options.first + number))
    rows = [row for seed in seeds for row in measure(seed, options.quick)]
    emit(__file__, rows, claims(rows, seeds), options.write)


def measure(seed: int, quick: bool) -> list[dict[str, Any]]:
    """Precision of every ranking for one seed."""
    odds, probabilities, states, wrong = run(seed, quick)
    student = np.where(states == 1, 1 - probabilities, probabilities)
    rankings = {
        "mlic: error probability, all models": error_probabilities(odds, states),
        "self-confidence, student": student,
        "cleanlab, student": rank_by_cleanlab(probabilities, states),
    }
    return [
        {"seed": seed, "ranking": name, "errors": int(wrong.sum())} | precision(scores, wrong)
        for name, scores in rankings.items()
        if scores is not None
    ]


def precision(scores: NDArray[np.float64], wrong: NDArray[np.bool_]) -> dict[str, float]:
    """Share of errors among the states that come first."""
    ordered = wrong.ravel()[np.argsort(-scores.ravel(), kind="stable")]
    number = int(wrong.sum())
    return {
        f"at {TOP}": float(ordered[:TOP].mean()),
        "at all errors": float(ordered[:number].mean()),
    }


def run(seed: int, quick: bool) -> tuple[NDArray[np.float64], ...]:
    """Train the default models of a seed; log-odds of all models, what the student says, states."""
    kind = "quick" if quick else "default"
    folder = f"mlic_label_issues/{kind}_{training_code_version()}_{seed}"
    project = Path(tempfile.gettempdir()) / folder
    if not project.is_dir():
        shutil.copytree(ROOT / "conf", project / "conf")
        for name in ("pyproject.toml", ".telemetry"):
            shutil.copy(ROOT / name, project)
        (project / "src").mkdir()
    bootstrap_project(project)
    parameters: dict[str, Any] = {**(QUICK if quick else {}), "seed": seed}
    with (
        contextlib.chdir(project),
        KedroSession.create(project, runtime_params=parameters) as session,
    ):
        session.run(pipeline_names=PIPELINES)
        context = session.load_context()
        p, catalog = check_parameters(context.config_loader["parameters"]), context.catalog
        names = ("test_predictions", "learning_predictions", "soft_targets", "trainings", "labels")
        test, learning, targets, trainings, labels = (catalog.load(name) for name in names)
    calibration = model_calibrations(trainings)["student"]
    odds = mean_odds(test, learning, targets, calibration, labels)
    own = np.empty(labels.states.shape, np.float32)
    row_of = {name: row for row, name in enumerate(labels.ids.tolist())}
    for found in (test, learning):
        own[[row_of[i] for i in found.ids.tolist()]] = found.joined(labels.space, ["student"])
    scenes = derive_seed(seed, "scenes")
    clean = draw_scenes(p.synthetic.model_copy(update={"label_noise": 0.0}), scenes)[0].labels
    true = {name: states for name, states in zip(clean.ids.tolist(), clean.states, strict=True)}
    truth = np.stack([true[name] for name in labels.ids.tolist()])
    return odds, calibration.probabilities(own), labels.states, truth != labels.states


def rank_by_cleanlab(
    probabilities: NDArray[np.float64], states: NDArray[np.int8]
) -> NDArray[np.float64] | None:
    """Rank by cleanlab's label quality, in its own environment; None without it."""
    if (python := os.environ.get("LABEL_ISSUES_PYTHON")) is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "given.npz"), Path(folder, "found.npy")
        np.savez(given, probabilities=probabilities, states=states)
        subprocess.run([python, "-c", CLEANLAB, str(given), str(found)], check=True)
        return 1 - np.load(found)


def claims(rows: list[dict[str, Any]], seeds: list[int]) -> list[Claim]:
    listed = []
    for column, goal in ((f"at {TOP}", 0.8), ("at all errors", 0.4)):
        values = [row[column] for row in rows if row["ranking"].startswith("mlic")]
        mean, spread = float(np.mean(values)), float(np.std(values, ddof=1) if values[1:] else 0)
        unit = f"share of wrong states, sd {spread:.3f}"
        listed.append(Claim(f"precision {column}", mean, unit, f"≥ {goal}", mean >= goal, seeds))
    return listed


if __name__ == "__main__":
    main()

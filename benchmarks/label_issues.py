"""How many of the label states to check are wrong, on scenes whose noise is known.

    python benchmarks/label_issues.py [--quick] [--write] [--seeds N] [--first SEED]

Each seed draws scenes with 5 % of every label's present states moved to other images, and trains
the default models. Precision is the share of truly wrong states among the first 50
of a ranking of all states, and among as many as there are errors. cleanlab (AGPL, no dependency of
mlic) ranks the calibrated probabilities of the student beside it, if LABEL_ISSUES_PYTHON names the
Python of an environment in which it is installed (``pip install cleanlab``). Runs are kept in the
system's temporary folder, and a script that was stopped continues.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from calibration_study.logits import LOSSES, TAUGHT, load, prepare, seed_folder, train_student
from common import Claim, emit
from numpy.typing import NDArray

from mlic.config.parameters import Parameters
from mlic.evaluation.label_issues import error_probabilities
from mlic.evaluation.predictions import Predictions
from mlic.inference.calibrate import calibrate_checkpoint
from mlic.inference.options import CalibrationOptions
from mlic.labels import LabelMatrix
from mlic.pipelines.data_preparation.nodes import draw_synthetic_images
from mlic.pipelines.distillation.nodes import join_logits
from mlic.report.error_analysis import mean_odds
from mlic.training.predict import predict_checkpoint

SEEDS, FIRST = 4, 1  # the method was chosen on seed 0
TOP = 50
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
    p = load("default", quick, None)
    folder = seed_folder(p, "default", seed)
    trainings = prepare(p, "default", seed, folder, LOSSES[TAUGHT], {})
    student, (baseline, groups) = train_student(trainings, p)
    labels, every = trainings.inputs["labels"], np.arange(len(trainings.inputs["images"]))
    models = [*student.checkpoints, *baseline.checkpoints, *groups.checkpoints]
    logits = {
        one.info.name: predict_checkpoint(one, trainings.inputs["images"], every, p.training)
        for one in models
    }
    names = {one.info.name: one.info.labels for one in models}
    is_test = labels.split == "test"
    test = Predictions(labels.ids[is_test], {n: z[is_test] for n, z in logits.items()}, names)
    learning = Predictions(
        labels.ids[~is_test],
        {"student": logits["student"][~is_test]},
        {"student": names["student"]},
    )
    written = [one for team in (baseline, groups) for one in team.logits]
    targets = join_logits(labels, folder / "label_issues_targets", *written)
    calibrated = calibrate_checkpoint(
        student.checkpoints[0], trainings.inputs["images"], labels, p.training, CalibrationOptions()
    )
    calibration = calibrated.calibration
    odds = mean_odds(test, learning, targets, calibration, labels)
    return (
        odds,
        calibration.probabilities(logits["student"]),
        labels.states,
        find_errors(p, seed, labels),
    )


def find_errors(p: Parameters, seed: int, labels: LabelMatrix) -> NDArray[np.bool_]:
    """Which states of the labels are wrong: the same scenes are drawn without noise."""
    clean = draw_synthetic_images(p.synthetic.model_copy(update={"label_noise": 0.0}), seed)[
        0
    ].labels
    true = dict(zip(clean.ids.tolist(), clean.states, strict=True))
    return np.stack([true[name] for name in labels.ids.tolist()]) != labels.states


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

"""Does parallel self-distillation lift C-Tran? UC Merced, 17 labels, official test images.

    python benchmarks/c_tran_student.py --merced FOLDER --weights FILE --write

C-Tran is trained alone, and as the student of CGP + DGP, whose teachers are C-Tran as well and are
trained in one pass. Epochs and data are those of ``conf/ucmerced``; head and learning rates are
those that `known_labels.py` uses. Each seed has validation images of its own; the test images are
fixed. Both models are scored on the same cells, once without known labels and once with half of the
labels known. Trainings are kept as they are made; a run that was stopped continues.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from calibration_study.logits import load, prepare, seed_folder
from common import Claim, emit
from gain.product import Team, Trained, Trainings
from scipy.stats import t as student_t

from mlic.config.parameters import Parameters
from mlic.evaluation.known_labels import LabelMasks
from mlic.evaluation.metrics import mean_average_precision
from mlic.training.predict import predict_checkpoint

DATASET = "UC Merced"
TEAM = Team("joint", ("cgp", "dgp"))
MASK_SEEDS = (0, 1, 2)
MODEL: dict[str, Any] = {
    "head": "c_tran",
    "head_options": {"width": 128, "layers": 2, "dropout": 0},
}
TRAINING: dict[str, Any] = {"learning_rate": 2e-3, "backbone_rate": 0.25}
Scores = dict[tuple[str, int], float]  # by model and share of known labels, in percent


def main() -> None:
    """Measure all seeds, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--merced", type=Path, required=True, help="folder of UC Merced")
    parser.add_argument("--weights", type=Path, required=True, help="ImageNet weights")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="one seed, one epoch")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    options = parser.parse_args()
    torch.set_num_threads(1)  # figures depend to the last bit on the number of threads
    seeds = [1] if options.quick else list(range(1, options.seeds + 1))
    found = [_measure(seed, options) for seed in seeds]
    emit(__file__, _rows(found), _claims(found, seeds), options.write)


def _measure(seed: int, options: argparse.Namespace) -> Scores:
    """Train both models of one seed, and score them."""
    folders = {"merced": options.merced, "weights": options.weights}
    p = _parameters(options)
    folder = seed_folder(p, f"{DATASET} C-Tran", seed)
    trainings = prepare(p, DATASET, seed, folder, p.training.loss, folders)
    team = trainings.team(TEAM)
    student = trainings.student("CGP + DGP", [team], p.distillation)
    alone = trainings.baseline
    cost = (team.seconds + student.seconds) / alone.seconds
    scores: Scores = {("cost", 0): cost}
    for name, model in (("alone", alone), ("student of CGP + DGP", student)):
        for level in (0, 50):
            scores[name, level] = _score(trainings, model, level)
    print(seed, {key: round(value, 2) for key, value in scores.items()}, flush=True)
    return scores


def _score(trainings: Trainings, model: Trained, level: int) -> float:
    """Compute mAP in percent on the cells that no level makes known; the mean over the masks."""
    labels, found = trainings.inputs["labels"], []
    test, rows = labels.in_split("test"), labels.rows("test")
    predict = partial(predict_checkpoint, model.checkpoints[0], trainings.inputs["images"], rows)
    for seed in MASK_SEEDS:
        masks = LabelMasks.draw(test.ids, test.space, seed)
        logits = predict(trainings.inputs["training"], masks.known(test.states, level))
        found.append(100 * mean_average_precision(logits, masks.scored(test.states)))
    return float(np.mean(found))


def _parameters(options: argparse.Namespace) -> Parameters:
    p = load(DATASET, options.quick, options.weights)
    return p.model_copy(
        update={
            "model": p.model.model_copy(update=MODEL),
            "training": p.training.model_copy(update=TRAINING),
        }
    )


def _rows(found: list[Scores]) -> list[dict[str, Any]]:
    rows = []
    for name in ("alone", "student of CGP + DGP"):
        levels = {f"{at} % known": _spread([one[name, at] for one in found]) for at in (0, 50)}
        gains = [one[name, 0] - one["alone", 0] for one in found]
        cost = np.mean([one["cost", 0] for one in found]) if name != "alone" else 1
        shown = {"gain at 0 %": _spread(gains), "cost in trainings alone": f"{cost:.1f}"}
        rows.append({"C-Tran": name, **levels, **shown})
    return rows


def _spread(values: list[float]) -> str:
    deviation = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
    return f"{np.mean(values):.2f}{deviation}"


def _claims(found: list[Scores], seeds: list[int]) -> list[Claim]:
    """Mean gains, which hold where the two-sided 95 % interval over the seeds lies above zero."""
    claims = []
    for level in (0, 50):
        gains = [one["student of CGP + DGP", level] - one["alone", level] for one in found]
        mean, half = float(np.mean(gains)), 0.0
        if len(gains) > 1:
            error = np.std(gains, ddof=1) / np.sqrt(len(gains))
            half = float(student_t.ppf(0.975, len(gains) - 1) * error)
        unit = f"points of mAP, ± {half:.2f} (95 %)"
        claims.append(Claim(f"student_gain_{level}_known", mean, unit, "> 0", mean > half, seeds))
    return claims


if __name__ == "__main__":
    main()

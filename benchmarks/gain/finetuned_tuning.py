"""Choosing how a study's models are fine-tuned, one option after the other, on validation alone."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gain.finetuned import Models
from gain.narrow import IMAGE_SIZE, load_ground, settings_of
from gain.pool import spread
from gain.rows import RowStore, config_hash
from gain.scoring import judge
from mlic.training.options import DistillationOptions

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from gain.config import Narrow

__all__ = ["tune"]

log = logging.getLogger(__name__)

SEEDS = (100, 101, 102)  # none of the study's
BASELINE: dict[str, Sequence[Any]] = {
    "learning_rate": (2e-3, 5e-4, 1e-3, 4e-3),
    "epoch_factor": (1, 0.5, 2),
    "ema_decay": (0.99, 0.98, 0.995),
}
STUDENT: dict[str, Sequence[Any]] = {"soft_weight": (0.3, 0.1, 1.0)}
Try = tuple[dict[str, Any], dict[str, Any]]  # options of training, and of a student if not empty


def tune(options: argparse.Namespace, path: Path) -> None:
    """Go through the grids; every try leaves rows of validation figures.

    The plain model first; then its student and that of CGP + DGP, by the mean of both.
    """
    config = settings_of(options)
    store = RowStore(path, config_hash(options.study, IMAGE_SIZE))
    chosen: Try = config.options, {}
    for option, values in BASELINE.items():
        chosen = _best(options, store, [_trained(chosen, option, value) for value in values])
    for option, values in STUDENT.items():
        start = config.students["binary_kl"]
        tries = [(chosen[0], {**start, option: value}) for value in values]
        chosen = _best(options, store, tries)
    log.info("chosen: %s", json.dumps(chosen))


def _trained(chosen: Try, option: str, value: Any) -> Try:
    training, student = chosen
    if option == "epoch_factor":
        option, value = "epochs", round(training["epochs"] * value)
    return {**training, option: value}, student


def _best(options: argparse.Namespace, store: RowStore, tries: Sequence[Try]) -> Try:
    tasks = [(options, store, one, seed) for one in tries for seed in SEEDS]
    spread({place: [task] for place, task in enumerate(tasks)}, _run_try, options.workers)
    scores = [_score(store, one) for one in tries]
    for one, score in zip(tries, scores, strict=True):
        log.info("%.2f: %s", score, json.dumps(one))
    return tries[int(np.argmax(scores))]


def _run_try(task: tuple[argparse.Namespace, RowStore, Try, int]) -> None:
    options, store, one, seed = task
    torch.set_num_threads(1)
    if not store.lacks(_name(one), 0, "", [seed]):
        return
    training, student = one
    config: Narrow = replace(settings_of(options), options=training)
    models = Models(load_ground(options, config, seed), seed)
    told = [models.plain(0)]
    if student:
        groups = models.groups("joint", ["cgp", "dgp"])
        distillation = DistillationOptions.model_validate(student)
        told = [
            models.student(taught, distillation) for taught in ({"full_label_0": told[0]}, groups)
        ]
    figures = [judge(said["validation"], models.ground.words, "validation") for said in told]
    means = {name: round(float(np.mean([f[name] for f in figures])), 3) for name in figures[0]}
    row = {"row": _name(one), "parts": 0, "distiller": "", "seed": seed}
    store.add([row | {"validation": means}])


def _score(store: RowStore, one: Try) -> float:
    kept = [row["validation"]["mAP"] for row in store.rows() if row["row"] == _name(one)]
    return round(float(np.mean(kept)), 3)


def _name(one: Try) -> str:
    return f"{'student' if one[1] else 'baseline'} {json.dumps(one)}"

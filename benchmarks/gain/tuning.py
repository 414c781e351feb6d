"""Choosing the wide study's hyper-parameters, one after the other, on validation pictures alone."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gain.committees import Field, Opinion
from gain.config import CONFIG, START, Config
from gain.features import VIEWS
from gain.hidden import Distillation, Recipe
from gain.rows import RowStore, config_hash
from gain.scoring import judge
from gain.wide import COMMITTEES, Study, load_field

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["tune"]

log = logging.getLogger(__name__)

Pair = tuple[Recipe, Distillation | None]
SEEDS = tuple(range(1000, 1003))  # none of the study's
PARTS = 3
GRIDS: dict[str, dict[str, Sequence[Any]]] = {
    "teacher": {
        "loss": ("asymmetric", "binary_cross_entropy"),
        "learning_rate": (5e-4, 1e-3, 2e-3, 4e-3),
        "epochs": (10, 20, 40, 80),
        "dropout": (0.3, 0.5, 0.7, 0.8),
        "input_dropout": (0.0, 0.3, 0.5),
        "weight_decay": (0.01, 0.1, 1.0, 3.0, 10.0),
    },
    "grown": {"epochs": (5, 10, 20), "learning_rate": (3e-4, 1e-3, 2e-3)},
    "binary_kl": {
        "weight_decay": (0.01, 0.1, 0.3, 1.0, 3.0),
        "dropout": (0.0, 0.3, 0.5, 0.7),
        "hard": (0.0, 0.25, 0.5, 0.75, 0.9),
        "temperature": (1.0, 2.0, 4.0),
        "learning_rate": (1e-3, 2e-3, 4e-3),
        "epoch_factor": (1, 2, 3),
    },
    "logit_mse": {  # the published weights stay as they are
        "weight_decay": (0.01, 0.1, 0.3, 1.0, 3.0),
        "dropout": (0.0, 0.3, 0.5, 0.7),
        "learning_rate": (1e-3, 2e-3, 4e-3),
        "epoch_factor": (1, 2, 3),
    },
}


def tune(options: argparse.Namespace, path: Path) -> None:
    """Go through the grids stage by stage; every try leaves rows of validation figures.

    The plain model first; then specialists, by their committee's own score; then students, by the
    mean over those of six plain teachers and of CGP + DGP at K = 3, which cost the same.
    """
    torch.set_num_threads(1)
    field = load_field(options)
    kept = RowStore(path, config_hash(VIEWS, field.words.labels.fingerprint))
    search = _Search(field, CONFIG, kept)
    teacher, _ = search.descend("teacher", (START, None))
    search.use(replace(CONFIG, teacher=teacher))
    search.descend("grown", (replace(teacher, epochs=10), None))
    student = replace(teacher, dropout=0.3)  # soft targets regularise by themselves
    for distiller in ("binary_kl", "logit_mse"):
        search.descend(distiller, (student, Distillation(distiller)))


class _Search:
    """Tries of one stage after the other."""

    def __init__(self, field: Field, config: Config, store: RowStore) -> None:
        self.field, self.store = field, store
        self.use(config)

    def use(self, config: Config) -> None:
        """Train the teachers of the stages that follow as told."""
        self.study = Study(self.field, config, SEEDS, PARTS)

    def descend(self, stage: str, start: Pair) -> Pair:
        """Take the best value of each option in turn."""
        chosen, epochs = start, start[0].epochs
        for option, values in GRIDS[stage].items():
            tries = [_change(chosen, option, value, epochs) for value in values]
            scores = [self._score(stage, one) for one in tries]
            chosen = tries[int(np.argmax(scores))]
            for value, score in zip(values, scores, strict=True):
                log.info("%s: %s = %s: %.2f", stage, option, value, score)
        log.info("%s: chosen %s", stage, chosen)
        return chosen

    def _score(self, stage: str, pair: Pair) -> float:
        taught = None if stage == "teacher" else self.study.config.teacher
        name = f"{stage} {json.dumps([*pair, taught], default=asdict)}"
        if self.store.lacks(name, PARTS, "", SEEDS):
            heard = self._hear(stage, pair)
            figures = [
                [judge(logits.numpy(), self.field.words, "validation") for logits in one]
                for one in heard
            ]
            means = [
                {k: _mean(f[k] for f in own) for k in own[0]} for own in zip(*figures, strict=True)
            ]
            found = {"row": name, "parts": PARTS, "distiller": ""}
            rows = zip(SEEDS, means, strict=True)
            self.store.add([found | {"seed": s, "validation": m} for s, m in rows])
        kept = [row for row in self.store.rows() if row["row"] == name and row["seed"] in SEEDS]
        return _mean(row["validation"]["mAP"] for row in kept)

    def _hear(self, stage: str, pair: Pair) -> list[torch.Tensor]:
        """Logits for the validation pictures, of one committee or student or of two."""
        recipe, distillation = pair
        if distillation is not None:
            both = [self._plain], self._groups
            return [
                self.study.student(opinions, recipe, distillation, "student")["validation"]
                for opinions in both
            ]
        if stage == "teacher":
            return [self.study.all_words(recipe, "plain_0")["validation"]]
        teachers = self.study.teachers
        teachers.grown = recipe
        opinions = [teachers.opinion(name) for name in COMMITTEES["grown CGP + DGP"]]
        teachers.forget("@")
        return [Opinion.mean(opinions).validation]

    @property
    def _plain(self) -> Opinion:
        name = f"mean of {2 * PARTS}"
        opinions = self.study.teachers.opinions
        if name not in opinions:
            every = [self.study.teachers.opinion(f"plain_{i}") for i in range(2 * PARTS)]
            opinions[name] = Opinion.mean(every)
        return opinions[name]

    @property
    def _groups(self) -> list[Opinion]:
        return [self.study.teachers.opinion(name) for name in COMMITTEES["CGP + DGP"]]


def _change(pair: Pair, option: str, value: Any, epochs: int) -> Pair:
    recipe, own = pair
    if option == "epoch_factor":
        return replace(recipe, epochs=epochs * value), own
    if own is not None and option == "temperature":
        return recipe, replace(own, options={option: value})
    if own is not None and option == "hard":
        return recipe, replace(own, hard=value)
    return replace(recipe, **{option: value}), own


def _mean(values: Iterable[float]) -> float:
    return round(float(np.mean(list(values))), 3)

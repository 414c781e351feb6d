"""Choosing the wide study's hyper-parameters, one after the other, on validation images alone."""

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
# What hangs together is searched jointly: rate, decay and epochs with the batch; for a student how
# strongly it is regularised with how much it hears of the truth.
JOINT: dict[str, dict[str, Sequence[Any]]] = {
    "teacher": {
        "batch_size": (128, 512),
        "epochs": (40, 80),
        "learning_rate": (1e-3, 2e-3, 4e-3),
        "weight_decay": (1.0, 3.0),
    },
    "binary_kl": {"dropout": (0.0, 0.3, 0.5), "hard": (0.75, 0.9, 0.97)},
}
FULL_LABEL = (
    "teacher",
    "budget_matched_baseline",
)  # stages of models that learn from the truth alone
GRIDS: dict[str, dict[str, Sequence[Any]]] = {
    "teacher": {
        "loss": ("asymmetric", "binary_cross_entropy"),
        "dropout": (0.5, 0.6, 0.7, 0.8),
        "input_dropout": (0.0, 0.2, 0.4),
        "weight_decay": (0.3, 1.0, 3.0, 5.0),
        "learning_rate": (2e-3, 4e-3, 8e-3),
        "epochs": (40, 60, 80, 120, 240),
    },
    "budget_matched_baseline": {
        "dropout": (0.5, 0.6, 0.7),
        "learning_rate": (1e-3, 2e-3, 4e-3),
        "weight_decay": (1.0, 2.0, 3.0),
    },
    "grown": {"epochs": (10, 20, 40), "learning_rate": (1e-3, 2e-3, 4e-3)},
    "binary_kl": {
        "weight_decay": (0.3, 1.0, 3.0),
        "temperature": (1.0, 2.0, 4.0),
        "learning_rate": (1e-3, 2e-3, 4e-3),
        "epochs": (40, 80, 120),
    },
    "logit_mse": {  # the published weights stay as they are
        "weight_decay": (0.3, 1.0, 3.0),
        "dropout": (0.0, 0.3),
        "learning_rate": (1e-3, 2e-3, 4e-3),
        "epochs": (40, 80, 120),
    },
}
# Where the search for students starts.
STUDENT: dict[str, Any] = {"epochs": 80, "dropout": 0.0}
DISTILLATIONS = {
    "binary_kl": Distillation("binary_kl", {"temperature": 2.0}, hard=0.75),
    "logit_mse": Distillation("logit_mse"),
}
BUDGET = 6  # baselines: about what PSD costs at K = 2
CLEAR = 0.1  # points that another value must be better
WORTH = 0.3  # points that a dearer training must be better


def tune(options: argparse.Namespace, path: Path) -> None:
    """Go through the grids stage by stage; every try leaves rows of validation figures.

    The plain model first, by the joint grid and then by its own, and one for the whole budget;
    then specialists, by their committee's own score; then students, by the mean over those of six
    plain teachers and of CGP + DGP at K = 3, which cost the same.
    """
    torch.set_num_threads(1)
    field = load_field(options)
    kept = RowStore(path, config_hash(VIEWS, field.words.labels.fingerprint))
    search = _Search(field, CONFIG, kept)
    teacher, _ = search.descend("teacher", search.joint("teacher", (START, None)))
    search.descend(
        "budget_matched_baseline", (replace(teacher, epochs=BUDGET * teacher.epochs), None)
    )
    search.use(replace(CONFIG, teacher=teacher))
    search.descend("grown", (teacher, None))
    for distiller, distillation in DISTILLATIONS.items():
        start = replace(teacher, **STUDENT), distillation
        search.descend(distiller, search.joint(distiller, start))


class _Search:
    """Tries of one stage after the other."""

    def __init__(self, field: Field, config: Config, store: RowStore) -> None:
        self.field, self.store = field, store
        self.use(config)

    def use(self, config: Config) -> None:
        """Train the teachers of the stages that follow as told."""
        self.study = Study(self.field, config, SEEDS, PARTS)

    def joint(self, stage: str, start: Pair) -> Pair:
        """Go over all combinations, if there are any."""
        tries = [start]
        for option, values in JOINT.get(stage, {}).items():
            tries = [_change(one, option, value) for one in tries for value in values]
        return self._choose(stage, tries)

    def descend(self, stage: str, start: Pair) -> Pair:
        """Go over the values of each option in turn."""
        chosen = start
        for option, values in GRIDS[stage].items():
            chosen = self._choose(stage, [_change(chosen, option, v) for v in values], chosen)
        log.info("%s: chosen %s", stage, chosen)
        return chosen

    def _choose(self, stage: str, tries: Sequence[Pair], kept: Pair | None = None) -> Pair:
        """The best of the shortest trainings that are not much worse than the best of all.

        What is kept so far stays unless it is longer or clearly worse.
        """
        scores = [self._score(stage, one) for one in tries]
        good = [
            (one[0].epochs, -score, place)
            for place, (one, score) in enumerate(zip(tries, scores, strict=True))
            if score >= max(scores) - WORTH
        ]
        place = min(good)[2]
        if kept in tries and kept[0].epochs <= tries[place][0].epochs:
            clearly = scores[place] - scores[tries.index(kept)] >= CLEAR
            return tries[place] if clearly else kept
        return tries[place]

    def _score(self, stage: str, pair: Pair) -> float:
        taught = None if stage in FULL_LABEL else self.study.config.teacher
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
            log.info("%.2f %s", np.mean([m["mAP"] for m in means]), name)
        kept = [row for row in self.store.rows() if row["row"] == name and row["seed"] in SEEDS]
        return _mean(row["validation"]["mAP"] for row in kept)

    def _hear(self, stage: str, pair: Pair) -> list[torch.Tensor]:
        """Logits for the validation images, of one committee or student or of two."""
        recipe, distillation = pair
        if distillation is not None:
            both = [self._plain], self._groups
            return [
                self.study.student(opinions, recipe, distillation, "student")["validation"]
                for opinions in both
            ]
        if stage in FULL_LABEL:
            return [self.study.all_words(recipe, "full_label_0")["validation"]]
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


def _change(pair: Pair, option: str, value: Any) -> Pair:
    recipe, own = pair
    if own is not None and option == "temperature":
        return recipe, replace(own, options={option: value})
    if own is not None and option == "hard":
        return recipe, replace(own, hard=value)
    return replace(recipe, **{option: value}), own


def _mean(values: Iterable[float]) -> float:
    return round(float(np.mean(list(values))), 3)

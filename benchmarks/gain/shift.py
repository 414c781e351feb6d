"""Shift study: what groups gain where company misleads, on scenes, models trained end to end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from common import ROOT, Claim
from kedro.config import OmegaConfigLoader

from gain.figures import draw_gain_by_column
from gain.pool import spread
from gain.report import BASELINE, gain_claim
from gain.rows import RowStore, config_hash
from gain.scenes import PARTS, SHIFTS, World, column_of
from mlic.config.parameters import Parameters, check_parameters
from mlic.distillation.joining import assemble_targets
from mlic.distillation.targets import TeacherLogits
from mlic.evaluation.metrics import mean_average_precision
from mlic.labels.options import FULL_LABEL
from mlic.training.fit import train
from mlic.training.predict import predict_checkpoint, predict_training_views

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    import plotly.graph_objects as go

    from gain.report import Ingredients
    from gain.rows import Row
    from mlic.training.checkpoint import Checkpoint

__all__ = ["claims", "figures", "ingredients", "make_rows", "open_store"]

SEEDS = 8
TEST_IMAGES = 1000
FORWARD = 1 / 3  # of a training pass is its forward pass
ROWS = {  # strategies of every row, and teachers of each
    "plain × 1": {FULL_LABEL: 1},
    "plain × 6": {FULL_LABEL: 6},
    "random + random": {"random": 3, "random_2": 3},
    "CGP + DGP": {"cgp": 3, "dgp": 3},
}


class Models:
    """Everything trained on one world, each once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._taught: dict[str, tuple[TeacherLogits, dict[str, Any]]] = {}

    def teacher(self, strategy: str, number: int) -> tuple[TeacherLogits, dict[str, Any]]:
        """What a teacher says of the training views, and of validation and test images."""
        name = f"teachers.{strategy}_{number}"
        if name not in self._taught:
            groups, partition = self.world.groups(strategy)
            job = self.world.job(name, "teacher", groups[number])
            checkpoint = train(job)
            logits = TeacherLogits(
                name,
                job.labels.space,
                job.train_ids,
                np.stack(list(predict_training_views(job, checkpoint))),
                job.views,
                checkpoint.fingerprint,
                partition,
            )
            self._taught[name] = logits, self.predict(checkpoint)
        return self._taught[name]

    def student(self, strategies: dict[str, int]) -> dict[str, Any]:
        """Train a student of some teachers; its logits by split."""
        space = self.world.learning[1].space
        members = {
            strategy: [self.teacher(strategy, i)[0] for i in range(number)]
            for strategy, number in strategies.items()
        }
        job = self.world.job(
            "student",
            "student",
            range(len(space)),
            targets=assemble_targets(space, members),
            distillation=self.world.parameters.distillation,
        )
        return self.predict(train(job))

    def baseline(self) -> dict[str, Any]:
        """Train a plain model; its logits by split."""
        columns = range(len(self.world.learning[1].space))
        return self.predict(train(self.world.job("baseline", "baseline", columns)))

    def together(self, strategies: dict[str, int]) -> dict[str, Any]:
        """Mean over strategies, and over plain teachers, of the committees' logits."""
        space = self.world.learning[1].space
        committees = []
        for strategy, number in strategies.items():
            said = [self.teacher(strategy, i) for i in range(number)]
            full = {n: np.zeros((len(x), len(space))) for n, x in said[0][1].items()}
            for logits, held in said:
                for name, values in held.items():
                    columns = space.indices(logits.space.names)
                    full[name][:, columns] += values / (number if strategy == FULL_LABEL else 1)
            committees.append(full)
        return {n: np.mean([one[n] for one in committees], axis=0) for n in committees[0]}

    def predict(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """Logits of the validation images and of every test set."""
        world, options = self.world, self.world.parameters.training
        images, labels = world.learning
        found = {
            "validation": predict_checkpoint(checkpoint, images, labels.rows("validation"), options)
        }
        for name, (test, _) in world.tests.items():
            found[name] = predict_checkpoint(checkpoint, test, np.arange(len(test)), options)
        return found


def open_store(options: argparse.Namespace, path: Path) -> RowStore:
    """The rows of this configuration."""
    parameters = load_parameters(options.quick)
    decisive = parameters.model_dump(mode="json"), SHIFTS, _images(options)
    return RowStore(path, config_hash(*decisive))


def make_rows(options: argparse.Namespace, store: RowStore) -> None:
    """Make all rows that are not there yet."""
    seeds = range(options.seeds or (2 if options.quick else SEEDS))
    dumped, images = load_parameters(options.quick).model_dump_json(), _images(options)
    spread({s: [(store, dumped, s, images)] for s in seeds}, _run_seed, options.workers)


def _images(options: argparse.Namespace) -> int:
    return 100 if options.quick else TEST_IMAGES


def load_parameters(quick: bool) -> Parameters:
    """The demo's parameters, one thread a training; `ROWS` says which committees there are."""
    loader = OmegaConfigLoader(str(ROOT / "conf"), base_env="base", default_run_env="base")
    found = loader["parameters"]
    found["training"] |= {"threads": 1}
    found["partition"] |= {"strategies": ["cgp", "dgp"]}
    if quick:
        found["training"] |= {"epochs": 1}
        found["scenes"] |= {"num_images": 300}
    return check_parameters(found)


def _run_seed(task: tuple[RowStore, str, int, int]) -> None:
    store, dumped, seed, images = task
    torch.set_num_threads(1)
    parameters = Parameters.model_validate_json(dumped)
    models = Models(World(parameters, seed, images))
    _keep(store, models, BASELINE[0], "", {}, 1.0)
    training, distiller = parameters.training, parameters.distillation.distiller.name
    for name, strategies in ROWS.items():
        number = sum(strategies.values())
        views = training.augmentation.views * FORWARD / training.epochs
        taught = number * (1 + views) + training.student_epoch_factor
        _keep(store, models, f"together: {name}", "", strategies, float(number))
        _keep(store, models, f"student: {name}", distiller, strategies, taught)


def _keep(
    store: RowStore,
    models: Models,
    name: str,
    distiller: str,
    strategies: dict[str, int],
    cost: float,
) -> None:
    world = models.world
    parts = _parts(strategies)
    if not store.lacks(name, parts, distiller, [world.seed]):
        return
    if not strategies:
        logits = models.baseline()
    else:
        logits = models.student(strategies) if distiller else models.together(strategies)
    truth = {"validation": world.learning[1].in_split("validation")}
    truth |= {column: labels for column, (_, labels) in world.tests.items()}
    figures = {
        column: round(100 * mean_average_precision(logits[column], labels.states), 3)
        for column, labels in truth.items()
    }
    row: Row = {"row": name, "parts": parts, "distiller": distiller, "seed": world.seed}
    row |= {"cost": round(cost, 2), "validation": {"mAP": figures.pop("validation")}}
    store.add([row | {"test": figures}])


def ingredients(rows: Sequence[Row]) -> Ingredients:
    """One step after the other from the baseline to the student of label groups."""
    distiller = next(row["distiller"] for row in rows if row["distiller"])
    student = {name: (f"student: {name}", _parts(own), distiller) for name, own in ROWS.items()}
    teachers = {name: (f"together: {name}", _parts(own), "") for name, own in ROWS.items()}
    return {
        "to learn from a plain model": (student["plain × 1"], BASELINE),
        "as many plain models as the groups cost": (student["plain × 6"], student["plain × 1"]),
        "groups, of random labels, at equal cost": (
            student["random + random"],
            student["plain × 6"],
        ),
        "groups by company": (student["CGP + DGP"], student["random + random"]),
        "teachers themselves: of groups, not plain ones": (
            teachers["random + random"],
            teachers["plain × 6"],
        ),
        "teachers themselves: groups by company": (
            teachers["CGP + DGP"],
            teachers["random + random"],
        ),
    }


def figures(rows: Sequence[Row]) -> dict[str, go.Figure]:
    """Gain against shift."""
    distiller = next(row["distiller"] for row in rows if row["distiller"])
    series = {
        f"student of {name}": (f"student: {name}", _parts(own), distiller)
        for name, own in ROWS.items()
    }
    for name in ("plain × 6", "CGP + DGP"):
        series[f"{name}, the teachers together"] = f"together: {name}", _parts(ROWS[name]), ""
    columns = {column_of(shift): shift for shift in SHIFTS}
    title = "shift of the test scenes' co-occurrence (1: communities broken)"
    return {"gain_by_shift": draw_gain_by_column(rows, series, columns, title)}


def _parts(strategies: dict[str, int]) -> int:
    return 0 if FULL_LABEL in strategies or not strategies else PARTS


def claims(rows: Sequence[Row]) -> list[Claim]:
    """Gains where company misleads, at shift 1."""
    distiller = next(row["distiller"] for row in rows if row["distiller"])
    column = column_of(1.0)
    ours = ("student: CGP + DGP", PARTS, distiller)
    others = {
        "baseline": BASELINE,
        "plain_of_equal_cost": ("student: plain × 6", 0, distiller),
        "random_groups": ("student: random + random", PARTS, distiller),
    }
    return [
        gain_claim(f"groups_above_{name}_{place}", rows, ours, other, column=own)
        for name, other in others.items()
        for place, own in (("as_trained", "mAP"), ("company_broken", column))
    ]

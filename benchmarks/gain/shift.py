"""Scenes whose test co-occurrence is shifted by a known amount, small models trained end to end.

At shift 0 test scenes keep the company of the training scenes; at 1 a thing is as likely to come
from any community, so that company says nothing any more. Between them the chance of a guest is
interpolated. Test labels are without noise.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from common import ROOT, Claim
from kedro.config import OmegaConfigLoader

from gain.figures import draw_gain_by_column
from gain.report import BASELINE, gain_claim
from gain.rows import RowStore, config_hash
from mlic.images.decode import decode_pictures
from mlic.images.scenes import draw_scenes
from mlic.images.store import PictureStore
from mlic.labels.options import PLAIN
from mlic.labels.partitioning import partition_labels, random_partition
from mlic.labels.split import stratified_split
from mlic.labels.statistics import count_labels
from mlic.metrics import mean_average_precision
from mlic.parameters import Parameters, check_parameters
from mlic.seeds import derive_seed
from mlic.training.job import TrainingJob
from mlic.training.joining import assemble_targets
from mlic.training.loop import train
from mlic.training.predict import predict_checkpoint, predict_training_views
from mlic.training.targets import TeacherLogits

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    import plotly.graph_objects as go

    from gain.rows import Row
    from mlic.images.options import SceneOptions
    from mlic.labels import LabelMatrix
    from mlic.training.checkpoint import Checkpoint

__all__ = ["SHIFTS", "claims", "figures", "run", "shifted_scenes"]

SHIFTS = (0.0, 0.25, 0.5, 0.75, 1.0)
SEEDS = 8
TEST_PICTURES = 1000
FORWARD = 1 / 3  # of a training pass is its forward pass
ROWS = {  # strategies of every row, and teachers of each
    "plain × 1": {PLAIN: 1},
    "plain × 6": {PLAIN: 6},
    "random + random": {"random": 3, "random_2": 3},
    "CGP + DGP": {"cgp": 3, "dgp": 3},
}
PARTS = 3


@dataclass(frozen=True)
class World:
    """Scenes to learn from, and a set of test scenes for every shift."""

    parameters: Parameters
    seed: int
    test_pictures: int

    @cached_property
    def learning(self) -> tuple[PictureStore, LabelMatrix]:
        """Training and validation pictures."""
        data, scenes = self.parameters.data, self.parameters.scenes
        left = 1 - data.test_fraction
        number = round(scenes.num_pictures * left)
        pictures, labels = _draw(scenes, derive_seed(self.seed, "scenes"), num_pictures=number)
        held = data.validation_fraction / left
        shares = {"train": 1 - held, "validation": held}
        split = stratified_split(labels.states, shares, derive_seed(self.seed, "split"))
        return pictures, labels.with_split(split)

    @cached_property
    def tests(self) -> dict[str, tuple[PictureStore, LabelMatrix]]:
        """Test pictures by the name of their column."""
        scenes, number = self.parameters.scenes, self.test_pictures
        return {_column(s): shifted_scenes(scenes, self.seed, s, number) for s in SHIFTS}

    def groups(self, strategy: str) -> tuple[list[Sequence[int]], str | None]:
        """Label columns of every teacher, and the partition's fingerprint."""
        labels = self.learning[1]
        space = labels.space
        if strategy == PLAIN:
            return [range(len(space))] * ROWS["plain × 6"][PLAIN], None
        own = derive_seed(self.seed, f"partition_{strategy}")
        if strategy.startswith("random"):
            partition = random_partition(space, [len(space) // PARTS] * PARTS, own)
        else:
            options = self.parameters.partition
            statistics = count_labels(labels.in_split("train").states, space)
            exponent = options.exponents[strategy]  # type: ignore[index]
            partition = partition_labels(statistics, strategy, PARTS, exponent, own)
        return list(partition.parts), partition.fingerprint

    def job(self, name: str, role: str, columns: Sequence[int], **changes: Any) -> TrainingJob:
        """One training of some labels."""
        pictures, labels = self.learning
        return TrainingJob(
            name=name,
            role=role,
            labels=labels.with_labels(columns),
            pictures=pictures,
            image_size=self.parameters.data.image_size,
            model=self.parameters.model,
            options=self.parameters.training.for_role(role),
            seed=derive_seed(self.seed, name),
            view_seed=self.seed,
            **changes,
        )


class Models:
    """Everything trained on one world, each once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._taught: dict[str, tuple[TeacherLogits, dict[str, Any]]] = {}

    def teacher(self, strategy: str, number: int) -> tuple[TeacherLogits, dict[str, Any]]:
        """What a teacher says of the training views, and of validation and test pictures."""
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
                    full[name][:, columns] += values / (number if strategy == PLAIN else 1)
            committees.append(full)
        return {n: np.mean([one[n] for one in committees], axis=0) for n in committees[0]}

    def predict(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """Logits of the validation pictures and of every test set."""
        world, options = self.world, self.world.parameters.training
        pictures, labels = world.learning
        found = {
            "validation": predict_checkpoint(
                checkpoint, pictures, labels.rows("validation"), options
            )
        }
        for name, (test, _) in world.tests.items():
            found[name] = predict_checkpoint(checkpoint, test, np.arange(len(test)), options)
        return found


def run(options: argparse.Namespace, path: Path) -> RowStore:
    """Make all rows that are not there yet."""
    parameters = load_parameters(options.quick)
    pictures = 100 if options.quick else TEST_PICTURES
    decisive = parameters.model_dump(mode="json"), SHIFTS, pictures
    store = RowStore(path, config_hash(*decisive))
    seeds = range(options.seeds or (2 if options.quick else SEEDS))
    tasks = [(store, parameters.model_dump_json(), seed, pictures) for seed in seeds]
    if options.workers == 1:
        for task in tasks:
            _run_seed(task)
    else:
        with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
            list(pool.map(_run_seed, tasks))
    return store


def load_parameters(quick: bool) -> Parameters:
    """The demo's parameters, one thread a training."""
    loader = OmegaConfigLoader(str(ROOT / "conf"), base_env="base", default_run_env="base")
    found = loader["parameters"]
    found["training"] |= {"threads": 1}
    if quick:
        found["training"] |= {"epochs": 1}
        found["scenes"] |= {"num_pictures": 300}
    return check_parameters(found)


def _run_seed(task: tuple[RowStore, str, int, int]) -> None:
    store, dumped, seed, pictures = task
    torch.set_num_threads(1)
    parameters = Parameters.model_validate_json(dumped)
    models = Models(World(parameters, seed, pictures))
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


def figures(rows: Sequence[Row]) -> dict[str, go.Figure]:
    """Gain against shift."""
    distiller = next(row["distiller"] for row in rows if row["distiller"])
    series = {
        f"student of {name}": (f"student: {name}", _parts(own), distiller)
        for name, own in ROWS.items()
    }
    columns = {_column(shift): shift for shift in SHIFTS}
    title = "shift of the test scenes' co-occurrence (1: communities broken)"
    return {"gain_by_shift": draw_gain_by_column(rows, series, columns, title)}


def _parts(strategies: dict[str, int]) -> int:
    return 0 if PLAIN in strategies or not strategies else PARTS


def shifted_scenes(
    scenes: SceneOptions, seed: int, shift: float, number: int
) -> tuple[PictureStore, LabelMatrix]:
    """Scenes in which a guest is as likely as told, from training's chance to mere chance."""
    home, apart = scenes.cross_probability, 1 - 1 / scenes.num_communities
    own = {"cross_probability": home + shift * (apart - home), "label_noise": 0.0}
    return _draw(scenes, derive_seed(seed, f"test {shift}"), num_pictures=number, **own)


def _draw(scenes: SceneOptions, seed: int, **changes: Any) -> tuple[PictureStore, LabelMatrix]:
    raw, _ = draw_scenes(scenes.model_copy(update=changes), seed)
    pixels = np.empty((len(raw), scenes.size, scenes.size, 3), dtype=np.uint8)
    decode_pictures(raw, scenes.size, pixels)
    return PictureStore.from_arrays(raw.labels.ids, pixels), raw.labels


def _column(shift: float) -> str:
    return f"mAP at shift {shift:g}" if shift else "mAP"


def claims(rows: Sequence[Row]) -> list[Claim]:
    """Gains where company misleads, at shift 1."""
    distiller = next(row["distiller"] for row in rows if row["distiller"])
    column = _column(1.0)
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

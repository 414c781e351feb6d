"""What the benchmarks of training costs share: sizes by argument, random images, timing."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlic.images.options import DataOptions
from mlic.images.store import ImageStore
from mlic.labels import LabelMatrix, LabelSpace
from mlic.models.options import BranchOptions, ModelOptions
from mlic.training.distillation_options import TeacherOptions
from mlic.training.fit import fit
from mlic.training.inputs import TrainingInputs
from mlic.training.job import TrainingJob
from mlic.training.options import TrainingOptions
from mlic.training.state import TrainingState
from mlic.training.tasks.base import TrainingTask

__all__ = [
    "Bench",
    "SteppedTraining",
    "cpu_seconds",
    "load",
    "median_ratio",
    "parse",
    "scratch",
    "timed",
]

QUICK = {"backbone": "resnet10t", "images": 32, "epochs": 2, "views": 1, "pairs": 1}


def parse(description: str) -> argparse.Namespace:
    """Sizes, and what to do with the results; ``--quick`` overrides the sizes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--backbone", default="resnet50", help="a timm model")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--images", type=int, default=96, help="training images")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=13)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--labels", type=int, default=80)
    parser.add_argument("--parts", type=int, default=5, help="K; two strategies are 2K teachers")
    parser.add_argument("--width", type=int, help="width of a branch; default: that of the product")
    parser.add_argument("--pairs", type=int, default=3, help="measurements of every side")
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="a small model, one measurement")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    options = parser.parse_args()
    if options.quick:
        vars(options).update(QUICK)
    return options


@dataclass(frozen=True)
class Bench:
    """Trainings of one size, on random images and labels."""

    size: argparse.Namespace
    inputs: dict[str, Any]  # keyword arguments of `TrainingInputs`

    @classmethod
    def make(cls, size: argparse.Namespace, validation: bool = True) -> Bench:
        """Make images and labels; validation images are a tenth of the training images, or none."""
        rng = np.random.default_rng(0)
        number = size.images + (max(size.images // 10, 2) if validation else 0)
        side = size.image_size
        pixels = rng.integers(0, 256, (number, side, side, 3), dtype=np.uint8)
        images = ImageStore.from_arrays([f"p{i}" for i in range(number)], pixels)
        # One label in ten is present, about as dense as real multi-label data; speed hardly depends
        # on it.
        space = LabelSpace(tuple(f"label {i}" for i in range(size.labels)))
        states = (rng.random((number, size.labels)) < 0.1).astype(np.int8)
        split = np.where(np.arange(number) < size.images, "train", "validation")
        training = TrainingOptions(
            epochs=size.epochs,
            batch_size=size.batch_size,
            learning_rate=1e-3,
            augmentation={"views": size.views},
            threads=size.threads,
        )
        inputs = {
            "images": images,
            "labels": LabelMatrix(space, images.ids, states, split),
            "data": DataOptions(image_size=side),
            "model": ModelOptions(backbone=size.backbone),
            "training": training,
            "seed": 0,
        }
        return cls(size, inputs)

    def job(self, name: str, **changes: Any) -> TrainingJob:
        """Description of a training of all labels, or of one of `groups`."""
        group = self.groups(2).get(f"group_{name}")
        if group is None:
            return TrainingInputs(**self.inputs).make_job(name, name, **changes)
        inputs = TrainingInputs(**self.inputs)
        return inputs.make_job(f"teachers.{name}", "teacher", group["labels"], **changes)

    def groups(self, num_strategies: int) -> dict[str, dict[str, Any]]:
        """Label groups of K teachers per strategy, as keyword arguments of ``train_teachers``."""
        names = np.array(self.inputs["labels"].space.names)
        return {
            f"group_{strategy}_{part}": {"strategy": strategy, "part": part, "labels": own.tolist()}
            for strategy in ("cgp", "dgp")[:num_strategies]
            for part, own in enumerate(np.array_split(names, self.size.parts))
        }

    def teachers(self, mode: str) -> TeacherOptions:
        """Options of teachers in one training."""
        return TeacherOptions(mode=mode, branch=BranchOptions(width=self.size.width))


class SteppedTraining:
    """A training that the product's loop runs one epoch at a time."""

    def __init__(self, task: TrainingTask) -> None:
        self.task, self.options = task, task.jobs[0].options
        self.state = TrainingState(task, self.options)
        self.data = task.make_data()

    def run_epoch(self) -> float:
        """Run the next epoch; seconds of its training images, without the evaluation."""
        figures: list[Any] = []
        # The schedule was made for all epochs; the loop stops after the next one.
        options = self.options.model_copy(update={"epochs": self.state.epoch + 1})
        fit(self.task, self.data, options, self.state, lambda _, own: figures.extend(own))
        return len(self.data.train_rows) / float(figures[0]["images_per_second"])


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def cpu_seconds(function: Callable[[], Any]) -> tuple[Any, float]:
    """A function's result, and the processor time of this process that it took."""
    start = time.process_time()
    return function(), time.process_time() - start


def timed(side: Callable[..., Any], *arguments: Any, **named: Any) -> tuple[Any, float]:
    """Result of a function, and its wall time in seconds."""
    start = time.perf_counter()
    return side(*arguments, **named), time.perf_counter() - start


def load() -> float:
    """Processes that were ready to run during the last minute, this one included."""
    return round(os.getloadavg()[0], 2)


def median_ratio(rows: list[dict[str, Any]], side: str, reference: str) -> float:
    """Median over pairs of one side's seconds divided by the reference's of the same pair."""
    return statistics.median(row[side] / row[reference] for row in rows)

"""What the benchmarks of trainings share: sizes by argument, made-up images, timed sides."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlic.images.store import ImageStore
from mlic.labels import LabelMatrix, LabelSpace
from mlic.models.options import BranchedModelOptions, BranchOptions, ModelOptions
from mlic.training.job import TrainingJob
from mlic.training.options import TrainingOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Bench", "load", "median_ratio", "parse", "scratch", "seconds", "timed"]

QUICK = {"backbone": "resnet10t", "images": 32, "epochs": 2, "views": 1, "pairs": 1}


def parse(description: str) -> argparse.Namespace:
    """Sizes and what to do with the results; ``--quick`` overrides the sizes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--backbone", default="resnet50", help="a timm model")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--images", type=int, default=96, help="to learn from")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=13)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--labels", type=int, default=80)
    parser.add_argument("--parts", type=int, default=5, help="K; two strategies are 2K teachers")
    parser.add_argument("--width", type=int, help="of a branch; a 32nd of the trunk's unless told")
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
    """Trainings of one size; validation is a tenth of the images."""

    size: argparse.Namespace
    images: ImageStore
    labels: LabelMatrix

    @classmethod
    def make(cls, size: argparse.Namespace) -> Bench:
        """Make up images and labels of the asked sizes."""
        rng = np.random.default_rng(0)
        number = size.images + max(size.images // 10, 2)
        side = size.image_size
        pixels = rng.integers(0, 256, (number, side, side, 3), dtype=np.uint8)
        images = ImageStore.from_arrays([f"p{i}" for i in range(number)], pixels)
        space = LabelSpace(tuple(f"label {i}" for i in range(size.labels)))
        states = (rng.random((number, size.labels)) < 0.1).astype(np.int8)
        split = np.where(np.arange(number) < size.images, "train", "validation")
        return cls(size, images, LabelMatrix(space, images.ids, states, split))

    def job(self, name: str, part: Sequence[int] | None = None, **changes: Any) -> TrainingJob:
        """One training of all labels or some."""
        size, role = self.size, "teacher" if "." in name else name
        options = TrainingOptions(
            epochs=changes.pop("epochs", size.epochs),
            batch_size=size.batch_size,
            learning_rate=1e-3,
            augmentation={"views": size.views},
            threads=size.threads,
        )
        job = TrainingJob(
            name=name,
            role=role,
            labels=self.labels if part is None else self.labels.with_labels(part),
            images=self.images,
            image_size=size.image_size,
            model=ModelOptions(backbone=size.backbone),
            options=options,
            seed=0,
            view_seed=0,
        )
        return replace(job, **changes)

    def teachers(self, num_strategies: int, branched: bool, **changes: Any) -> list[TrainingJob]:
        """K teachers a strategy, which share the labels out among them."""
        if branched:
            branch = {"branch": BranchOptions(width=self.size.width)}
            changes["model"] = BranchedModelOptions(backbone=self.size.backbone, **branch)
        parts = np.array_split(np.arange(self.size.labels), self.size.parts)
        return [
            self.job(f"teachers.{'cd'[strategy]}gp_{i}", part.tolist(), **changes)
            for strategy in range(num_strategies)
            for i, part in enumerate(parts)
        ]


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def seconds(side: Callable[..., Any], *arguments: Any) -> float:
    """Wall time of one side."""
    return timed(side, *arguments)[1]


def timed(side: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """What a side gives, and its wall time."""
    start = time.perf_counter()
    return side(*arguments), time.perf_counter() - start


def load() -> float:
    """Processes that wanted a core during the last minute, this one included."""
    return round(os.getloadavg()[0], 2)


def median_ratio(rows: list[dict[str, Any]], side: str, reference: str) -> float:
    """Median over pairs of one side's seconds by the reference's of the same pair."""
    return statistics.median(row[side] / row[reference] for row in rows)

"""A student's epoch with ten teachers' logits from a file costs at most 1.05 plain epochs.

    python benchmarks/cached_targets.py [--quick] [--write] [--backbone NAME] [--pairs N] …

Three trainings run epochs of the same loop over the same images and views, one after the other in
every pair. Only what the student learns from differs: labels alone, cached logits (float16 in one
memory-mapped file), or the logits of live teachers, which are ten models called on every batch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from common import Claim, emit
from numpy.typing import NDArray
from trainings import Bench, SteppedTraining, load, median_ratio, parse, scratch

from mlic.distillation.targets import SoftTargets, TeacherLogits
from mlic.distillation.teacher_id import strategy_of
from mlic.models.classifier import build_classifier
from mlic.pipelines.distillation.nodes import join_logits
from mlic.training.data import ImageData, read_images
from mlic.training.device import make_fabric
from mlic.training.distillation_options import DistillationOptions
from mlic.training.predict import predict_batches
from mlic.training.train import make_task

GOAL = 1.05
SOFT = DistillationOptions()


def main() -> None:
    options = parse(__doc__.splitlines()[0])
    options.epochs = max(options.epochs, options.pairs + 1)  # the schedule must last
    with scratch() as folder:
        rows = measure(Bench.make(options), folder)
    emit(__file__, rows, claims(rows), options.write)


def claims(rows: list[dict[str, Any]]) -> list[Claim]:
    """What the raw rows say."""
    cached = median_ratio(rows, "cached s", "plain s")
    live = median_ratio(rows, "live s", "plain s")
    return [
        Claim("student epoch with cached targets / plain epoch", cached, "x", f"<= {GOAL}",
              cached <= GOAL, [0]),
        Claim("student epoch with live teachers / plain epoch", live, "x", "for comparison",
              True, [0]),
    ]  # fmt: skip


def measure(bench: Bench, folder: Path) -> list[dict[str, Any]]:
    cached = write_targets(bench, folder)
    sides = {
        "plain s": SteppedTraining(make_task(bench.job("baseline"))),
        "cached s": step_student(bench, cached),
        "live s": step_student(bench, LiveTargets(bench, cached)),
    }
    rows = []
    for pair in range(bench.size.pairs + 1):  # the first warms up
        times = {name: side.run_epoch() for name, side in sides.items()}
        rows.append({"pair": pair, "backbone": bench.size.backbone, **times, "load": load()})
    return rows[1:]


def step_student(bench: Bench, targets: SoftTargets | LiveTargets) -> SteppedTraining:
    """A student of given targets."""
    return SteppedTraining(make_task(bench.job("student", targets=targets, distillation=SOFT)))


def write_targets(bench: Bench, folder: Path) -> SoftTargets:
    """Write random logits of 2K teachers, joined by the product's node."""
    rng, labels, logits = np.random.default_rng(1), bench.inputs["labels"], []
    for name in bench.groups(2):
        job = bench.job(name.removeprefix("group_"))
        shape = (bench.size.views, len(job.train_rows), len(job.labels.space))
        values = rng.normal(size=shape).astype(np.float16)
        logits.append(
            TeacherLogits(
                job.name, job.labels.space, job.train_ids, values, job.views, "f", format="float16"
            )
        )
    return join_logits(labels, folder, *logits)


class LiveTargets:
    """Targets that call 2K models at every step, as the authors' release does."""

    def __init__(self, bench: Bench, cached: SoftTargets) -> None:
        job = bench.job("baseline")
        # The baseline's data has the views that the student sees.
        data = SteppedTraining(make_task(job)).data
        assert isinstance(data, ImageData)
        self.data, self.fabric = data, make_fabric(job.options)
        self.space, self.ids, self.views = cached.space, cached.ids, cached.views
        self.fingerprint = "live"
        jobs = [bench.job(name.removeprefix("group_")) for name in bench.groups(2)]
        self.teachers = [(one, build_classifier(one.model, one.context).eval()) for one in jobs]

    def read(self, view: int, rows: NDArray[np.intp]) -> dict[str, NDArray[np.floating[Any]]]:
        """Logits of one view of some training images by strategy; shape (B, C) each."""
        data, images = self.data, self.data.job.images
        seen = (data.views, view)
        inputs = list(
            read_images(images, data.train_rows[rows], data.spec, self.fabric, len(rows), seen)
        )
        values: dict[str, NDArray[np.floating[Any]]] = {}
        for job, model in self.teachers:
            blank = np.empty((len(rows), len(self.space)), np.float32)
            joined = values.setdefault(strategy_of(job.name), blank)
            columns = self.space.indices(job.labels.space.names)
            joined[:, columns] = predict_batches(model, iter(inputs), self.fabric)
        return values


if __name__ == "__main__":
    main()

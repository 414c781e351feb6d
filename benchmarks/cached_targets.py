"""An epoch of the student that reads ten teachers' logits, against a plain epoch and live teachers.

    python benchmarks/cached_targets.py [--quick] [--write] [--backbone NAME] [--pairs N] …

All three are epochs of the same loop over the same images and views, one after the other in
every pair; only what the student learns from differs. Cached logits are float16 in one
memory-mapped file. Live teachers are whole models called on every batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from common import Claim, emit
from trainings import Bench, load, median_ratio, parse, scratch, seconds

from mlic.caching.store import ArtifactStore
from mlic.distillation.joining import join_targets
from mlic.distillation.targets import SoftTargets, TeacherLogits
from mlic.distillation.teacher_id import strategy_of
from mlic.models.classifier import build_classifier
from mlic.training.fit import _Training
from mlic.training.options import DistillationOptions

if TYPE_CHECKING:
    from pathlib import Path

GOAL = 1.05
SOFT = DistillationOptions()


def main() -> None:
    options = parse(__doc__.splitlines()[0])
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
    stored = write_targets(bench, folder)
    student = {"distillation": SOFT}
    plain = _Training(bench.job("baseline"))
    cached = _Training(bench.job("student", targets=stored, **student))
    live = _Training(bench.job("student", targets=call_teachers(bench, stored, plain), **student))
    sides = {"plain s": plain, "cached s": cached, "live s": live}
    rows = []
    for pair in range(bench.size.pairs + 1):  # the first warms up
        times = {name: seconds(side._learn, pair + 1, Bar()) for name, side in sides.items()}
        rows.append({"pair": pair, "backbone": bench.size.backbone, **times, "load": load()})
    return rows[1:]


class Bar:
    """Stands for a progress bar."""

    def update(self, number: int) -> None:
        """Show nothing."""


def write_targets(bench: Bench, folder: Path) -> SoftTargets:
    """Write made-up logits of 2K teachers, joined as the pipeline does it."""
    rng, jobs = np.random.default_rng(1), bench.teachers(2, branched=False)
    members: dict[str, list[TeacherLogits]] = {}
    for job in jobs:
        shape = (bench.size.views, len(job.train_rows), len(job.labels.space))
        values = rng.normal(size=shape).astype(np.float16)
        one = TeacherLogits(job.name, job.labels.space, job.train_ids, values, job.views, "f")
        members.setdefault(one.strategy, []).append(one)
    return join_targets(bench.labels.space, members, ArtifactStore(folder, "soft_targets"))


def call_teachers(bench: Bench, stored: SoftTargets, training: _Training) -> SoftTargets:
    """Targets that call 2K models at every step, as the authors' release does."""
    space = bench.labels.space
    teachers = [
        (job, build_classifier(job.model, len(job.labels.space)).eval())
        for job in bench.teachers(2, branched=False)
    ]

    class Live(SoftTargets):
        def read(self, view: int, rows: Any) -> dict[str, Any]:
            images = training._see(rows, training._read(rows, view + 1), view + 1)
            values = {name: np.empty((len(rows), len(space)), np.float32) for name in self.values}
            with torch.inference_mode():
                for job, model in teachers:
                    strategy = strategy_of(job.name)
                    columns = space.indices(job.labels.space.names)
                    values[strategy][:, columns] = model(images).numpy()
            return values

    return Live(stored.space, stored.ids, stored.values, stored.views, stored.teachers)


if __name__ == "__main__":
    main()

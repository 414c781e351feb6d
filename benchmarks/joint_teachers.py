"""K teachers in one pass, on a trunk that learns or one that is frozen, against one training.

    python benchmarks/joint_teachers.py [--quick] [--write] [--backbone NAME] [--pairs N] …

Whole trainings of the same images, views and epochs, one after the other in every pair, and what
the teachers say of every view, written. On a frozen trunk that is the features of all views and K
branches upon them; the baseline whose layers it takes is not counted: `whole_cost.py` states both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common import Claim, emit
from mlic.training.frozen import predict_branch_views, train_branches
from mlic.training.joint import predict_jointly, train_jointly
from mlic.training.trunk import FrozenTrunk
from trainings import Bench, load, median_ratio, parse, scratch, seconds, timed

from mlic.caching.store import ArtifactStore
from mlic.training.fit import train
from mlic.training.predict import write_all_logits, write_logits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlic.distillation.targets import TeacherLogits
    from mlic.training.checkpoint import Checkpoint
    from mlic.training.job import TrainingJob

GOALS = {"learned": 1.5, "frozen": 1.1}


def main() -> None:
    options = parse(__doc__.splitlines()[0])
    with scratch() as folder:
        rows = measure(Bench.make(options), folder)
    emit(__file__, rows, claims(rows), options.write)


def claims(rows: list[dict[str, Any]]) -> list[Claim]:
    """What the raw rows say."""
    equal = all(row["equal"] for row in rows)
    number, found = rows[0]["teachers"], []
    for trunk, goal in GOALS.items():
        cost = median_ratio(rows, f"{trunk} s", "one s")
        name = f"{number} branches on a {trunk} trunk / one training"
        found.append(Claim(name, cost, "x", f"<= {goal}", cost <= goal, [0]))
    name = f"{number} branches on a frozen trunk = each trained alone"
    return [*found, Claim(name, float(equal), "to the bit", "= 1", equal, [0])]


def measure(bench: Bench, folder: Path) -> list[dict[str, Any]]:
    baseline = train(bench.job("baseline", epochs=1))
    jobs, rows = bench.teachers(1, branched=True), []
    for pair in range(bench.size.pairs):
        place = folder / str(pair)
        one = seconds(train, bench.job("baseline"))
        learned = seconds(teach_jointly, jobs, place / "joint")
        (made, _), frozen = timed(teach_on_frozen, jobs, baseline, place / "frozen")
        rows.append(
            {
                "pair": pair,
                "backbone": bench.size.backbone,
                "teachers": len(jobs),
                "one s": one,
                "learned s": learned,
                "frozen s": frozen,
                "equal": pair > 0 or alone(jobs[-1], baseline, place) == made[-1].fingerprint,
                "load": load(),
            }
        )
    return rows


def teach_jointly(jobs: Sequence[TrainingJob], folder: Path) -> list[TeacherLogits]:
    """What teachers say who were trained on a common trunk."""
    made = train_jointly(jobs, [ignore] * len(jobs))
    return write_all_logits(jobs, made, predict_jointly(jobs, made), stores(jobs, folder),
                            "float16")  # fmt: skip


def teach_on_frozen(
    jobs: Sequence[TrainingJob], baseline: Checkpoint, folder: Path
) -> tuple[list[Checkpoint], list[TeacherLogits]]:
    """Teachers trained on the baseline's layers, and what they say."""
    with FrozenTrunk(baseline, jobs[0], folder) as trunk:
        made = train_branches(jobs, trunk, [ignore] * len(jobs))
        kept = zip(jobs, made, stores(jobs, folder), strict=True)
        said = [
            write_logits(job, one, predict_branch_views(job, one, trunk), store, "float16")
            for job, one, store in kept
        ]
    return made, said


def stores(jobs: Sequence[TrainingJob], folder: Path) -> list[ArtifactStore]:
    """A store for each job."""
    return [ArtifactStore(folder / job.name, job.name) for job in jobs]


def alone(job: TrainingJob, baseline: Checkpoint, folder: Path) -> str:
    """Fingerprint of a teacher on a frozen trunk, trained without the others."""
    with FrozenTrunk(baseline, job, folder / "alone") as trunk:
        return train_branches([job], trunk, [ignore])[0].fingerprint


def ignore(epoch: int, figures: Any) -> None:
    """Report to nobody."""


if __name__ == "__main__":
    main()

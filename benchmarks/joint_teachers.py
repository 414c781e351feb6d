"""K teachers in one pass on a frozen trunk, against one training, and against K of their own.

    python benchmarks/joint_teachers.py [--quick] [--write] [--backbone NAME] [--pairs N] …

Whole trainings of the same pictures, views and epochs, one after the other in every pair. The
joint side counts the features of all views, K branches and what they say of every view; the
baseline whose lower layers they share is not counted: `whole_cost.py` states both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common import Claim, emit
from trainings import Bench, load, median_ratio, parse, scratch, seconds, timed

from mlic.training.joint import predict_branch_views, train_branches
from mlic.training.loop import train
from mlic.training.predict import write_logits
from mlic.training.store import CheckpointStore
from mlic.training.targets import TeacherLogits
from mlic.training.trunk import FrozenTrunk

if TYPE_CHECKING:
    from pathlib import Path

    from mlic.training.checkpoint import Checkpoint

GOAL = 1.1


def main() -> None:
    options = parse(__doc__.splitlines()[0])
    with scratch() as folder:
        rows = measure(Bench.make(options), folder)
    emit(__file__, rows, claims(rows), options.write)


def claims(rows: list[dict[str, Any]]) -> list[Claim]:
    """What the raw rows say."""
    joint = median_ratio(rows, "joint s", "one s")
    equal = all(row["equal"] for row in rows)
    name = f"{rows[0]['teachers']} branches on a frozen trunk"
    return [
        Claim(f"{name} / one training", joint, "x", f"<= {GOAL}", joint <= GOAL, [0]),
        Claim(f"{name} = each trained alone", float(equal), "to the bit", "= 1", equal, [0]),
    ]


def measure(bench: Bench, folder: Path) -> list[dict[str, Any]]:
    baseline = train(bench.job("baseline", epochs=1))
    jobs, rows = bench.teachers(1, branched=True), []
    for pair in range(bench.size.pairs):
        one = seconds(train, bench.job("baseline"))
        made, joint = timed(teach, bench, baseline, folder / str(pair))
        rows.append(
            {
                "pair": pair,
                "backbone": bench.size.backbone,
                "teachers": len(jobs),
                "one s": one,
                "joint s": joint,
                "equal": pair > 0 or alone(bench, baseline, folder) == made[-1].fingerprint,
                "load": load(),
            }
        )
    return rows


def teach(bench: Bench, baseline: Checkpoint, folder: Path) -> list[Checkpoint]:
    """K teachers and what they say, in one pass."""
    jobs = bench.teachers(1, branched=True)
    with FrozenTrunk(baseline, jobs[0], folder) as trunk:
        made = train_branches(jobs, trunk, [ignore] * len(jobs))
        for job, checkpoint in zip(jobs, made, strict=True):
            say(job, checkpoint, trunk, folder)
    return made


def say(job: Any, checkpoint: Checkpoint, trunk: FrozenTrunk, folder: Path) -> TeacherLogits:
    """Write what a teacher says of every view."""
    views = predict_branch_views(job, checkpoint, trunk)
    return write_logits(job, checkpoint, views, CheckpointStore(folder / job.name, job.name),
                        "float16")  # fmt: skip


def alone(bench: Bench, baseline: Checkpoint, folder: Path) -> str:
    """Fingerprint of the last teacher, trained without the others."""
    job = bench.teachers(1, branched=True)[-1]
    with FrozenTrunk(baseline, job, folder / "alone") as trunk:
        return train_branches([job], trunk, [ignore])[0].fingerprint


def ignore(epoch: int, figures: Any) -> None:
    """Report to nobody."""


if __name__ == "__main__":
    main()

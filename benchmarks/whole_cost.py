"""Ten teachers, their targets and the student, against one training of the student's epochs.

    python benchmarks/whole_cost.py [--quick] [--write] [--backbone NAME] [--pairs N] …

Every pair is one plain training, then all of parallel self-distillation the fast way: branches on
the plain model's frozen lower layers, targets written once, a student that reads them. That plain
training is wanted anyway to compare with, so the cost is told with it and without. The slow way,
ten trainings and a student that calls ten teachers at every step, is measured over one epoch of
each, against one epoch of the plain training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cached_targets import SOFT, Bar, call_teachers, write_targets
from common import Claim, emit
from joint_teachers import ignore, say
from trainings import Bench, load, median_ratio, parse, scratch, seconds, timed

from mlic.training.joining import join_targets
from mlic.training.joint import train_branches
from mlic.training.loop import _Training, train
from mlic.training.store import CheckpointStore
from mlic.training.targets import TeacherLogits
from mlic.training.trunk import FrozenTrunk

if TYPE_CHECKING:
    from pathlib import Path

    from mlic.training.checkpoint import Checkpoint
    from mlic.training.targets import SoftTargets

GOAL, AT_LEAST = 2.5, 10.0


def main() -> None:
    options = parse(__doc__.splitlines()[0])
    with scratch() as folder:
        rows = measure(Bench.make(options), folder)
    emit(__file__, rows, claims(rows), options.write)


def claims(rows: list[dict[str, Any]]) -> list[Claim]:
    """What the raw rows say."""
    sums = [
        {
            **row,
            "fast s": row["teachers s"] + row["student s"],
            "all s": row["baseline s"] + row["teachers s"] + row["student s"],
            "slow s": row["slow teachers s"] + row["slow student s"],
        }
        for row in rows
    ]
    fast, whole = (median_ratio(sums, side, "baseline s") for side in ("fast s", "all s"))
    slow = median_ratio(sums, "slow s", "plain epoch s")
    what = f"{rows[0]['teachers']} teachers, targets and student / one training"
    return [
        Claim(what, fast, "x", f"<= {GOAL}", fast <= GOAL, [0]),
        Claim(f"{what}, the baseline counted", whole, "x", f"<= {GOAL}", whole <= GOAL, [0]),
        Claim(f"{what}, the slow way", slow, "x", f">= {AT_LEAST:g}", slow >= AT_LEAST, [0]),
    ]


def measure(bench: Bench, folder: Path) -> list[dict[str, Any]]:
    rows = []
    for pair in range(bench.size.pairs):
        place = folder / str(pair)
        baseline, alone = timed(train, bench.job("baseline"))
        targets, teachers = timed(teach, bench, baseline, place)
        _, last = timed(train, student(bench, targets))
        times = {"baseline s": alone, "teachers s": teachers, "student s": last}
        times |= measure_slowly(bench, place)
        about = {"pair": pair, "backbone": bench.size.backbone, "teachers": 2 * bench.size.parts}
        rows.append({**about, **times, "load": load()})
    return rows


def student(bench: Bench, targets: SoftTargets) -> Any:
    """The student's job."""
    return bench.job("student", targets=targets, distillation=SOFT)


def teach(bench: Bench, baseline: Checkpoint, folder: Path) -> SoftTargets:
    """Targets of all teachers, from one pass over the baseline's features."""
    jobs = bench.teachers(2, branched=True)
    members: dict[str, list[TeacherLogits]] = {}
    with FrozenTrunk(baseline, jobs[0], folder) as trunk:
        made = train_branches(jobs, trunk, [ignore] * len(jobs))
        for job, checkpoint in zip(jobs, made, strict=True):
            one = say(job, checkpoint, trunk, folder)
            members.setdefault(one.strategy, []).append(one)
    return join_targets(bench.labels.space, members, CheckpointStore(folder, "soft_targets"))


def measure_slowly(bench: Bench, folder: Path) -> dict[str, float]:
    """One epoch of everything, the slow way."""
    plain = _Training(bench.job("baseline"))
    warmed = plain._learn(1, Bar())
    assert warmed
    live = call_teachers(bench, write_targets(bench, folder / "slow"), plain)
    last = _Training(student(bench, live))
    teachers = [_Training(job) for job in bench.teachers(2, branched=False)]
    return {
        "plain epoch s": seconds(plain._learn, 2, Bar()),
        "slow teachers s": sum(seconds(teacher._learn, 1, Bar()) for teacher in teachers),
        "slow student s": seconds(last._learn, 1, Bar()),
    }


if __name__ == "__main__":
    main()

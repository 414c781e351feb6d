"""Ten teachers, their targets and the student, against one training of the student's epochs.

    python benchmarks/whole_cost.py [--quick] [--write] [--backbone NAME] [--pairs N] …

Every pair is one plain training, then all of parallel self-distillation the two fast ways, whose
targets are written once: teachers on a trunk that learns with them, which need no plain training;
and teachers on the plain one's frozen layers. That one is wanted anyway to compare with, so the
cost of the latter is told with it and without. The student that reads targets costs the same
whoever wrote them and is trained once. The slow way, ten trainings and a student that calls ten
teachers at every step, is measured over one epoch of each, against one epoch of the plain training;
so is what ten teachers of their own say of one view.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cached_targets import SOFT, Bar, call_teachers, write_targets
from common import Claim, emit
from joint_teachers import teach_jointly, teach_on_frozen
from trainings import Bench, load, median_ratio, parse, scratch, seconds, timed

from mlic.caching.store import ArtifactStore
from mlic.distillation.joining import join_targets
from mlic.training.fit import _Training, train
from mlic.training.predict import predict_logits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlic.distillation.targets import SoftTargets, TeacherLogits
    from mlic.training.checkpoint import Checkpoint

GOAL, AT_LEAST = 2.5, 10.0
WAYS = {  # what each takes the time of
    "learned trunk": ("joint s", "student s"),
    "frozen trunk": ("frozen s", "student s"),
    "frozen trunk, the baseline counted": ("baseline s", "frozen s", "student s"),
}


def main() -> None:
    options = parse(__doc__.splitlines()[0])
    with scratch() as folder:
        rows = measure(Bench.make(options), folder)
    emit(__file__, rows, claims(rows), options.write)


def claims(rows: list[dict[str, Any]]) -> list[Claim]:
    """What the raw rows say."""
    what, found = f"{rows[0]['teachers']} teachers, targets and student / one training", []
    for way, parts in WAYS.items():
        sums = [{**row, "all s": sum(row[part] for part in parts)} for row in rows]
        cost = median_ratio(sums, "all s", "baseline s")
        found.append(Claim(f"{what}: {way}", cost, "x", f"<= {GOAL}", cost <= GOAL, [0]))
    sums = [{**row, "slow s": row["slow teachers s"] + row["slow student s"]} for row in rows]
    slow = median_ratio(sums, "slow s", "plain epoch s")
    goal = f">= {AT_LEAST:g}"
    return [*found, Claim(f"{what}: the slow way", slow, "x", goal, slow >= AT_LEAST, [0])]


def measure(bench: Bench, folder: Path) -> list[dict[str, Any]]:
    rows = []
    for pair in range(bench.size.pairs):
        place = folder / str(pair)
        baseline, alone = timed(train, bench.job("baseline"))
        targets, joint = timed(teach, bench, None, place / "joint")
        _, frozen = timed(teach, bench, baseline, place / "frozen")
        last = seconds(train, student(bench, targets))
        times = {"baseline s": alone, "joint s": joint, "frozen s": frozen, "student s": last}
        times |= measure_slowly(bench, place)
        size = bench.size
        about = {"pair": pair, "backbone": size.backbone, "teachers": 2 * size.parts}
        about |= {"epochs": size.epochs, "views": size.views}
        rows.append({**about, **times, "load": load()})
    return rows


def student(bench: Bench, targets: SoftTargets) -> Any:
    """The student's job."""
    return bench.job("student", targets=targets, distillation=SOFT)


def teach(bench: Bench, baseline: Checkpoint | None, folder: Path) -> SoftTargets:
    """Targets of all teachers, on a learned trunk or on the baseline's."""
    jobs = bench.teachers(2, branched=True)
    said: Sequence[TeacherLogits]
    if baseline is None:
        said = teach_jointly(jobs, folder)
    else:
        _, said = teach_on_frozen(jobs, baseline, folder)
    members: dict[str, list[TeacherLogits]] = {}
    for one in said:
        members.setdefault(one.strategy, []).append(one)
    return join_targets(bench.labels.space, members, ArtifactStore(folder, "soft_targets"))


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
        "one view s": sum(seconds(say_one_view, teacher) for teacher in teachers),
        "slow student s": seconds(last._learn, 1, Bar()),
    }


def say_one_view(teacher: _Training) -> None:
    """What a teacher of its own says of one view of every training image."""
    job, view = teacher.job, teacher._view(1)
    size = job.options.batch_size
    rows, frame = job.train_rows, teacher.frame
    predict_logits(teacher.model, job.images, rows, frame, teacher.fabric, size, view)


if __name__ == "__main__":
    main()

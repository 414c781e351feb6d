"""Ten teachers, their targets and the student cost at most 2.5 plain trainings.

    python benchmarks/whole_cost.py [--quick] [--write] [--backbone NAME] [--pairs N] …

Every pair is one plain training, then parallel self-distillation in the two fast modes, whose
targets are written once: teachers on a trunk that learns with them, which need no plain training,
and teachers on the plain model's frozen layers. The plain model is wanted for comparison anyway, so
that the cost of the latter is given with it and without. The student that reads targets costs the
same whoever wrote them and is trained once. The slow way, ten trainings and a student that calls
ten teachers at every step, is measured over one epoch of each, against one epoch of the plain
training; so is the prediction of one view by ten separate teachers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cached_targets import SOFT, LiveTargets, step_student, write_targets
from common import Claim, emit
from joint_teachers import teach
from trainings import Bench, SteppedTraining, load, median_ratio, parse, scratch, timed

from mlic.distillation.targets import SoftTargets
from mlic.pipelines.baseline_training.nodes import train_baseline
from mlic.pipelines.distillation.nodes import join_logits, train_student
from mlic.training.checkpoint import Checkpoint
from mlic.training.data import ImageData, read_images
from mlic.training.predict import predict_batches
from mlic.training.train import make_task

GOAL, AT_LEAST = 2.5, 10.0
WAYS = {  # the parts that each way consists of
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
    rows, size = [], bench.size
    for pair in range(size.pairs):
        place = folder / str(pair)  # nothing is reused from another pair
        baseline, alone = timed(train_baseline, store=place / "baseline", **bench.inputs)
        targets, joint = timed(write_teachers, bench, place / "joint")
        _, frozen = timed(write_teachers, bench, place / "frozen", baseline)
        student = {"soft_targets": targets, "distillation": SOFT, **bench.inputs}
        _, last = timed(train_student, store=place / "student", **student)
        times = {"baseline s": alone, "joint s": joint, "frozen s": frozen, "student s": last}
        times |= measure_slow_way(bench, place)
        about = {"pair": pair, "backbone": size.backbone, "teachers": 2 * size.parts}
        about |= {"epochs": size.epochs, "views": size.views}
        rows.append({**about, **times, "load": load()})
    return rows


def write_teachers(bench: Bench, folder: Path, baseline: Checkpoint | None = None) -> SoftTargets:
    """Targets of all teachers, on a trunk that learns with them or on the baseline's."""
    _, logits = teach(bench, bench.groups(2), folder, baseline)
    return join_logits(bench.inputs["labels"], folder, *logits)


def measure_slow_way(bench: Bench, folder: Path) -> dict[str, float]:
    """Seconds of one epoch of everything without the product's savings."""
    plain = SteppedTraining(make_task(bench.job("baseline")))
    plain.run_epoch()  # warms up
    live = LiveTargets(bench, write_targets(bench, folder / "slow"))
    student = step_student(bench, live)
    names = [name.removeprefix("group_") for name in bench.groups(2)]
    teachers = [SteppedTraining(make_task(bench.job(name))) for name in names]
    return {
        "plain epoch s": plain.run_epoch(),
        "slow teachers s": sum(teacher.run_epoch() for teacher in teachers),
        "one view s": sum(timed(predict_one_view, teacher)[1] for teacher in teachers),
        "slow student s": student.run_epoch(),
    }


def predict_one_view(teacher: SteppedTraining) -> None:
    """Predict the logits of one view of every training image."""
    data, state = teacher.data, teacher.state
    assert isinstance(data, ImageData)
    size, view = teacher.options.batch_size, (data.views, 0)
    inputs = read_images(data.job.images, data.train_rows, data.spec, state.fabric, size, view)
    predict_batches(state.learners[0].model, inputs, state.fabric)


if __name__ == "__main__":
    main()

"""K teachers in one training cost at most 1.5 trainings, on a frozen trunk at most 1.1.

    python benchmarks/joint_teachers.py [--quick] [--write] [--backbone NAME] [--pairs N] …

Entire trainings by the product's nodes, of the same images, views and epochs, one after the other
in every pair, with the writing of the teachers' logits of every view. On a frozen trunk these are
the features of all views and K branches; the baseline whose layers it takes is not counted, see
`whole_cost.py` for both. A teacher on a frozen trunk is the same to the bit as trained alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common import Claim, emit
from trainings import Bench, load, median_ratio, parse, scratch, timed

from mlic.distillation.targets import TeacherLogits
from mlic.pipelines.baseline_training.nodes import train_baseline
from mlic.pipelines.teacher_training.nodes import train_teachers
from mlic.training.checkpoint import Checkpoint

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
    groups, rows = bench.groups(1), []
    for pair in range(bench.size.pairs):
        place = folder / str(pair)  # nothing is reused from another pair
        baseline, one = timed(train_baseline, store=place / "one", **bench.inputs)
        _, learned = timed(teach, bench, groups, place / "joint")
        (made, _), frozen = timed(teach, bench, groups, place / "frozen", baseline)
        # The last teacher shows whether the ones before it have any influence.
        name = list(groups)[-1]
        (alone, *_), _ = teach(bench, {name: groups[name]}, place / "alone", baseline)
        rows.append(
            {
                "pair": pair,
                "backbone": bench.size.backbone,
                "teachers": len(groups),
                "one s": one,
                "learned s": learned,
                "frozen s": frozen,
                "equal": alone.fingerprint == made[-1].fingerprint,
                "load": load(),
            }
        )
    return rows


def teach(
    bench: Bench, groups: dict[str, Any], folder: Path, baseline: Checkpoint | None = None
) -> tuple[list[Checkpoint], list[TeacherLogits]]:
    """Teachers of label groups on a trunk that learns with them, or on the baseline's."""
    made = train_teachers(
        store=folder,
        teachers=bench.teachers("frozen" if baseline else "joint"),
        baseline=baseline,
        **groups,
        **bench.inputs,
    )
    checkpoints = [one for name, one in made.items() if name.endswith(".checkpoint")]
    return checkpoints, [one for name, one in made.items() if name.endswith(".logits")]


if __name__ == "__main__":
    main()

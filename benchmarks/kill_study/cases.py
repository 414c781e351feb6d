"""Which run of the study is killed when: a function of the seed and the case's number alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

__all__ = ["SETUPS", "Case", "Setup", "Unbroken", "make_case"]

SIZE = (
    "synthetic.num_images=160,training.epochs=2,training.teacher_epoch_factor=1,"
    "training.student_epoch_factor=1,partition.num_parts=2,training.threads=1,explain.images=20"
)
EPOCHS = 2


@dataclass(frozen=True)
class Setup:
    """A way to run the project."""

    name: str
    params: str = ""  # beside the size
    options: tuple[str, ...] = ()
    saves_each_step: bool = False

    @property
    def arguments(self) -> list[str]:
        """Arguments of ``kedro``."""
        return ["run", *self.options, "--params", SIZE + self.params]

    def interval(self, steps: int) -> float:
        """Steps between two saves of a training that has so many in all."""
        return 1 if self.saves_each_step else steps / EPOCHS

    @property
    def is_parallel(self) -> bool:
        """Whether nodes run in workers."""
        return bool(self.options)


JOINT = Setup("joint teachers")
FROZEN = Setup("frozen teachers", ",teachers.mode=frozen")
PARALLEL = Setup("parallel", ",teachers.mode=separate", ("--runner", "ParallelRunner"))
OFTEN = Setup("saved each step", ",training.save_every_steps=1", saves_each_step=True)
SETUPS = [JOINT, FROZEN, OFTEN, PARALLEL]

# What is killed when, for twenty kills in a row: any part of the list has all kinds.
# fmt: off
ROUND = [
    "time", "file", "time", "mlflow", "parent", "time", "file", "step", "time", "file",
    "time", "worker", "file", "time", "mlflow", "time", "file", "step", "time", "worker",
]
# fmt: on


@dataclass(frozen=True)
class Unbroken:
    """What is known of a run that was not killed."""

    seconds: float
    replaced: Sequence[str]  # kind of each file that was replaced, in order
    steps: dict[str, int]  # by training
    results: dict[str, Any]
    database_seconds: float  # that MLflow needs to create its database


@dataclass(frozen=True)
class Case:
    """One kill."""

    number: int
    setup: Setup
    kind: str
    cold: bool  # a new interpreter, and not a copy of one that has loaded everything
    moment: float  # as a share of the unbroken run's time
    asked: dict[str, Any]  # of the run itself; see `child.KILL`

    @property
    def text(self) -> str:
        """The moment in words."""
        if not self.asked:
            return f"at {100 * self.moment:.0f} % of the time"
        what = self.asked.get("file") or self.asked.get("step") or "MLflow's database"
        after = self.asked["after"]
        when = "before" if after is None else f"{1000 * after:.0f} ms after"
        return f"{when} {what} {self.asked.get('time', '')}".strip()


def make_case(number: int, seed: int, unbroken: Callable[[Setup], Unbroken]) -> Case:
    """Choose setup and moment of one kill."""
    random = Random(f"{seed} {number}")
    kind = ROUND[number % len(ROUND)]
    serial = number // len(ROUND)  # the round
    single = random.choice([JOINT, JOINT, FROZEN, OFTEN])
    setup = PARALLEL if kind in ("parent", "worker") else single
    known = unbroken(setup)
    asked: dict[str, Any] = {}
    if kind == "file":
        kinds = sorted(set(known.replaced))
        place = 5 * serial + ROUND[: number % len(ROUND)].count("file")
        file = kinds[place // 2 % len(kinds)]
        time = random.randint(1, known.replaced.count(file))
        asked = {"file": file, "time": time, "after": 0 if place % 2 else None}
    elif kind == "step":
        name = random.choice(sorted(known.steps))
        time = random.randint(1, known.steps[name])
        asked = {"step": name, "time": time, "after": round(random.uniform(0, 0.3), 3)}
    elif kind == "mlflow":
        asked = {"mlflow": True, "after": round(random.uniform(0, known.database_seconds), 3)}
    cold = setup.is_parallel or number % 8 == 0
    return Case(number, setup, kind, cold, round(random.random(), 3), asked)

"""The trainings of a study, made by the nodes of the product's own pipelines, and their rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gain.comparison import BASELINE, Setting
from gain.harness import RowStore
from mlic.distillation.targets import TeacherLogits
from mlic.images.store import ImageStore
from mlic.labels.options import FULL_LABEL, PartitionOptions
from mlic.labels.partition import Partition
from mlic.pipelines.baseline_training import nodes as baseline_nodes
from mlic.pipelines.distillation import nodes as distillation_nodes
from mlic.pipelines.teacher_training import nodes as teacher_nodes
from mlic.training.checkpoint import Checkpoint
from mlic.training.distillation_options import AveragingOptions, DistillationOptions, TeacherOptions
from mlic.training.predict import predict_checkpoint


@dataclass(frozen=True)
class Team:
    """Teachers that are trained together, or alike."""

    # The baseline itself, models of all labels, or the mode of group teachers.
    mode: Literal["baseline", "full_label", "joint", "separate", "frozen"]
    strategies: tuple[str, ...] = ()  # partitions of group teachers
    number: int = 1  # of full-label teachers
    trunk: Team | None = None  # the team whose first model has the trunk of frozen teachers


@dataclass(frozen=True)
class Trained:
    """Models, the logits they wrote, and the processor seconds of both when they were made."""

    checkpoints: tuple[Checkpoint, ...]
    logits: tuple[TeacherLogits, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Trainings:
    """Trainings of one seed; each is made once and reused from its folder afterwards."""

    inputs: dict[str, Any]  # keyword arguments of `mlic.training.inputs.TrainingInputs`
    partition: Callable[[str], Partition]  # by strategy
    folder: Path  # of checkpoints, logits and measured seconds

    @property
    def epochs(self) -> int:
        """Epochs of the baseline."""
        return int(self.inputs["training"].epochs)

    def with_epochs(self, epochs: int) -> Trainings:
        """The same trainings with another number of epochs, kept in a folder inside this one."""
        training = self.inputs["training"].model_copy(update={"epochs": epochs})
        folder = self.folder / f"{epochs}_epochs"
        return replace(self, inputs={**self.inputs, "training": training}, folder=folder)

    def with_image_size(self, size: int) -> Trainings:
        """The same trainings with larger images, kept in a folder inside this one."""
        data = self.inputs["data"].model_copy(update={"image_size": size})
        return replace(
            self, inputs={**self.inputs, "data": data}, folder=self.folder / f"{size}_px"
        )

    def with_sizes(self, sizes: tuple[int, ...]) -> Trainings:
        """The same trainings with teachers whose images grow, kept in a folder inside this one."""
        own = {"overrides": {"teacher": {"sizes": sizes}}}
        inputs = {**self.inputs, "training": self.inputs["training"].model_copy(update=own)}
        return replace(self, inputs=inputs, folder=self.folder / "_".join(map(str, sizes)))

    def with_splices(self, role: str, splice: Mapping[str, Any]) -> Trainings:
        """The same trainings with spliced images for a role, kept in a folder inside this one."""
        own = {"overrides": {role: {"splice": splice}}}
        inputs = {**self.inputs, "training": self.inputs["training"].model_copy(update=own)}
        return replace(self, inputs=inputs, folder=self.folder / f"spliced_{role}")

    @cached_property
    def baseline(self) -> Trained:
        """One model of all labels."""
        made, seconds = self._timed("baseline", baseline_nodes.train_baseline)
        return Trained((made,), (), seconds)

    def team(self, team: Team) -> Trained:
        """Train the teachers of a team and write their logits of every training view."""
        if team.mode == "baseline":
            made = self.baseline
            given = {"checkpoint": made.checkpoints[0], "teachers": TeacherOptions()}
            node = baseline_nodes.predict_teacher_logits
            logits, seconds = self._timed("baseline", node, **given)
            return Trained(made.checkpoints, (logits,), made.seconds + seconds)
        groups = {f"{one['strategy']}_{one['part']}": one for one in self._groups(team)}
        if team.mode in ("joint", "frozen"):
            return self._on_one_trunk(team, groups)
        options, node = TeacherOptions(mode="separate"), teacher_nodes.train_teacher
        made = [
            self._timed(f"separate_{name}", node, group=group, teachers=options)
            for name, group in groups.items()
        ]
        checkpoints, logits = zip(*(outputs for outputs, _ in made), strict=True)
        return Trained(checkpoints, logits, sum(seconds for _, seconds in made))

    def student(
        self, name: str, teams: Sequence[Trained], distillation: DistillationOptions
    ) -> Trained:
        """Train one model of all labels on the truth and on the logits of teams."""
        folder = self.folder / f"student_of_{name}"
        logits = [one for team in teams for one in team.logits]
        targets = distillation_nodes.join_logits(self.inputs["labels"], folder, *logits)
        given = {"soft_targets": targets, "distillation": distillation}
        made, seconds = self._timed(folder.name, distillation_nodes.train_student, **given)
        return Trained((made,), (), seconds)

    def soup(self, student: Trained, averaging: AveragingOptions) -> Trained:
        """Average a student with the baseline; the seconds are those of the average alone."""
        start = time.process_time()
        pair = {"baseline": self.baseline.checkpoints[0], "student": student.checkpoints[0]}
        made = distillation_nodes.average_student(averaging=averaging, **pair, **self.inputs)
        return Trained((made,), (), time.process_time() - start)

    def predict(
        self, models: Sequence[Trained], images: ImageStore, rows: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Logits of an ensemble, shape (n, C): per label, the mean over the models that know it."""
        space = self.inputs["labels"].space
        total, number = np.zeros((len(rows), len(space))), np.zeros(len(space))
        for checkpoint in (one for model in models for one in model.checkpoints):
            logits = predict_checkpoint(checkpoint, images, rows, self.inputs["training"])
            columns = space.indices(checkpoint.info.labels)
            total[:, columns] += logits
            number[columns] += 1
        return total / number

    def _on_one_trunk(self, team: Team, groups: dict[str, dict[str, Any]]) -> Trained:
        """Train all teachers in one pass, on a trunk that learns with them or on a frozen one."""
        trunk = self.team(team.trunk) if team.trunk else None
        name = "_".join([team.mode, *groups, *([team.trunk.mode] if team.trunk else [])])
        baseline = trunk.checkpoints[0] if trunk else None
        given = {"teachers": TeacherOptions(mode=team.mode), "baseline": baseline}
        given |= {f"group_{teacher}": group for teacher, group in groups.items()}
        made, seconds = self._timed(name, teacher_nodes.train_teachers, **given)
        checkpoints = tuple(made[f"{name}.checkpoint"] for name in groups)
        logits = tuple(made[f"{name}.logits"] for name in groups)
        return Trained(checkpoints, logits, seconds + (trunk.seconds if trunk else 0.0))

    def _groups(self, team: Team) -> list[dict[str, Any]]:
        if team.mode == FULL_LABEL:
            options = PartitionOptions(num_parts=1, num_full_label=team.number)
            return teacher_nodes.assign_all_labels(self.inputs["labels"], options)
        groups = []
        for strategy in team.strategies:
            partition = self.partition(strategy)
            options = PartitionOptions(num_parts=partition.num_parts)
            # A second set of random groups needs a strategy name of its own.
            own = teacher_nodes.assign_groups(partition, options)
            groups += [{**group, "strategy": strategy} for group in own]
        return groups

    def _timed(self, name: str, node: Callable[..., Any], **given: Any) -> tuple[Any, float]:
        """Outputs of a node, and the seconds that it took when it ran for the first time."""
        store = self.folder / name
        file = store / f"{node.__name__}.seconds"
        start = time.process_time()
        made = node(store=store, **self.inputs, **given)
        if not file.is_file():  # later calls only load what the first one made
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(repr(time.process_time() - start), encoding="utf-8")
        return made, float(file.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Measurement:
    """Rows of one seed."""

    store: RowStore
    trainings: Trainings
    score: Callable[[Sequence[Trained]], dict[str, float]]  # by column, such as ``test mAP``

    @property
    def seed(self) -> int:
        """Seed of the rows."""
        return int(self.trainings.inputs["seed"])

    def baseline(self) -> None:
        """Measure the row of the baseline."""
        if self.store.lacks(BASELINE, self.seed):
            self.keep(BASELINE, [self.trainings.baseline], 1.0)

    def ensemble(
        self,
        name: str,
        teams: Sequence[Team],
        student: tuple[Setting, DistillationOptions],
        teachers: Trainings | None = None,
    ) -> None:
        """Measure the rows of an ensemble and of its student.

        `student`: its setting, and how it weighs truth and teachers. `teachers`: the trainings of
        the teachers where they are not those of the student.
        """
        setting, distillation = student
        ensemble: Setting = (f"ensemble: {name}", setting[1], "")
        if not self.store.lacks(setting, self.seed):  # it is measured after its ensemble
            return
        trained = [(teachers or self.trainings).team(team) for team in teams]
        cost = self.cost(trained)
        # An ensemble of the baseline alone has a row already.
        if self.store.lacks(ensemble, self.seed) and [*teams] != [Team("baseline")]:
            self.keep(ensemble, trained, cost)
        if self.store.lacks(setting, self.seed):
            made = [self.trainings.student(f"{name} by {setting[2]}", trained, distillation)]
            self.keep(setting, made, cost + self.cost(made))

    def keep(self, setting: Setting, models: Sequence[Trained], cost: float) -> None:
        """Score models and keep their row."""
        self.store.add(setting, self.seed, {"cost": round(cost, 3)} | self.score(models))

    def cost(self, models: Sequence[Trained]) -> float:
        """Seconds of models in baseline trainings."""
        return sum(model.seconds for model in models) / self.trainings.baseline.seconds

    def spent(self, setting: Setting) -> float:
        """Cost of a row of this seed that has been measured."""
        return float(self.store.rows().loc[(*setting, self.seed), "cost"])

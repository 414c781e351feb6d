"""Run a training from its description to its checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mlic.training.checkpoint import Checkpoint
from mlic.training.device import memory_advice
from mlic.training.fit import fit
from mlic.training.job import TrainingJob
from mlic.training.state import TrainingState
from mlic.training.tasks.base import TrainingTask
from mlic.training.tasks.classification import ClassificationTask
from mlic.training.tasks.distillation import DistillationTask
from mlic.training.unfinished import UnfinishedTraining

__all__ = ["JobReport", "make_task", "train"]

# called after every epoch with its number, from 1, and the figures of one job
JobReport = Callable[[int, Mapping[str, float]], None]


def train(
    task: TrainingTask,
    reports: Sequence[JobReport] = (),
    unfinished: UnfinishedTraining | None = None,
) -> list[Checkpoint]:
    """Run a task and return its weights that do best on validation, one checkpoint for each job.

    Reports, if any, are one for each job too; a training that continues reports the epochs before
    first. `unfinished` holds the state after every epoch. The weights are float32, on the CPU.

    Raises
    ------
    TrainingError
        If memory runs out, the loss stops being finite, or there is no training image.
    """
    options = task.jobs[0].options

    def report_each(epoch: int, figures: Sequence[Mapping[str, float]]) -> None:
        for report, own in zip(reports, figures, strict=bool(reports)):
            report(epoch, own)

    def keep(epoch: int, figures: Sequence[Mapping[str, float]]) -> None:
        # Kept first: an epoch that was kept but not reported is reported by whoever continues.
        if unfinished is not None:
            unfinished.save(state)
        report_each(epoch, figures)

    with memory_advice(options, task.name):
        state = TrainingState(task, options)
        if unfinished is not None:
            unfinished.restore(state, options.epochs)
            for epoch, past in enumerate(zip(*state.history, strict=True), 1):
                report_each(epoch, past)
        fit(task, task.make_data(), options, state, keep)
    return task.checkpoints(state)


def make_task(job: TrainingJob) -> TrainingTask:
    """Choose the task of a single training: with soft targets it is distillation."""
    return ClassificationTask(job) if job.targets is None else DistillationTask(job)

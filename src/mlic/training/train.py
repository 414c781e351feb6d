"""Run a training from its description to its checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from mlic.errors import TrainingError
from mlic.training.checkpoint import Checkpoint
from mlic.training.device import memory_advice
from mlic.training.fit import fit
from mlic.training.job import TrainingJob
from mlic.training.state import TrainingState
from mlic.training.tasks.base import TrainingTask
from mlic.training.tasks.classification import ClassificationTask
from mlic.training.tasks.distillation import DistillationTask
from mlic.training.tasks.mutual import MutualTask
from mlic.training.unfinished import UnfinishedTraining
from mlic.utils.seeds import derive_seed

__all__ = ["JobReport", "make_task", "peers_of", "train"]

# called after every epoch with its number, from 1, and the figures of one job
JobReport = Callable[[int, Mapping[str, float]], None]


def train(
    task: TrainingTask,
    reports: Sequence[JobReport] = (),
    unfinished: UnfinishedTraining | None = None,
) -> list[Checkpoint]:
    """Run a task and return its weights that do best on validation, one checkpoint for each job.

    Reports, if any, are one for each job too; a training that continues reports the epochs before
    first. `unfinished` holds the state that was saved last. The weights are float32, on the CPU.

    Raises
    ------
    TrainingError
        If memory runs out, the loss stops being finite, or there is no training image.
    """
    options = task.jobs[0].options

    def report_each(epoch: int, figures: Sequence[Mapping[str, float]]) -> None:
        for report, own in zip(reports, figures, strict=bool(reports)):
            report(epoch, own)

    def save() -> None:
        if unfinished is not None:
            unfinished.save(state)

    def keep(epoch: int, figures: Sequence[Mapping[str, float]]) -> None:
        # Saved first: an epoch that was saved but not reported is reported by whoever continues.
        save()
        report_each(epoch, figures)

    with memory_advice(options, task.name):
        state = TrainingState(task, options)
        if unfinished is not None:
            unfinished.restore(state, options.epochs)
            for epoch, past in enumerate(zip(*state.history, strict=True), 1):
                report_each(epoch, past)
        fit(task, task.make_data(), options, state, keep, save)
    return task.checkpoints(state)


def peers_of(job: TrainingJob) -> list[TrainingJob]:
    """Describe the peers of a training, which differ from it in name and seed only."""
    names = [f"{job.name}.peer_{number}" for number in range(1, job.options.peers + 1)]
    return [replace(job, name=name, seed=derive_seed(job.view_seed, name)) for name in names]


def make_task(job: TrainingJob, *peers: TrainingJob) -> TrainingTask:
    """Choose the task of a training: with peers it is mutual, with soft targets distillation.

    Other peers than the options ask for are a `TrainingError`.
    """
    if len(peers) != job.options.peers:
        raise TrainingError(
            f"{job.name}: training.peers is {job.options.peers}, but {len(peers)} peers are given: "
            "make them with peers_of(job)",
            name=job.name,
            expected=job.options.peers,
            found=len(peers),
        )
    if peers:
        return MutualTask([job, *peers])
    return ClassificationTask(job) if job.targets is None else DistillationTask(job)

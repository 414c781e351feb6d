"""Run a training from its description to its checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from mlic.errors import TrainingError
from mlic.training.checkpoint import Checkpoint
from mlic.training.device import memory_advice
from mlic.training.fit import fit
from mlic.training.job import TrainingJob
from mlic.training.launch import Send, launch
from mlic.training.options import TrainingOptions
from mlic.training.ranks import num_ranks, rank
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

    With several devices the training runs in as many processes; reports are called in this one.

    Raises
    ------
    TrainingError
        If memory runs out, the loss stops being finite, there is no training image, or one of
        several processes is killed.
    ParameterError
        If there are not so many devices.
    """
    options = task.jobs[0].options
    if options.devices > 1 and num_ranks() == 1:
        return _train_on_ranks(task, reports, unfinished)

    def report_each(epoch: int, figures: Sequence[Mapping[str, float]]) -> None:
        for report, own in zip(reports, figures, strict=bool(reports)):
            report(epoch, own)

    def save() -> None:
        if unfinished is not None and rank() == 0:
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
    return [] if rank() else task.checkpoints(state)


def _train_on_ranks(
    task: TrainingTask, reports: Sequence[JobReport], unfinished: UnfinishedTraining | None
) -> list[Checkpoint]:
    """Train in one process for each device; reports are called here."""
    job = task.jobs[0]
    _check_last_batch(job.name, len(job.train_rows), job.options)

    def receive(message: tuple[int, int, Mapping[str, float]]) -> None:
        number, epoch, figures = message
        reports[number](epoch, figures)

    arguments = task, len(reports), unfinished
    trained: list[Checkpoint] = launch(_train_rank, arguments, task.jobs[0].options, receive)
    return trained


def _check_last_batch(name: str, num_images: int, options: TrainingOptions) -> None:
    rest = num_images % options.batch_size
    # such a batch is not divided: of its sum, all devices together would make a multiple
    if options.reduction == "sum" and 1 < rest < options.devices:
        raise TrainingError(
            f"{name}: the last batch of an epoch has {rest} images, fewer than "
            f"training.devices={options.devices}, and with training.reduction=sum they cannot be "
            "divided: choose another training.batch_size",
            name=name,
            parameter="training.batch_size",
            rest=rest,
        )


def _train_rank(
    send: Send, task: TrainingTask, num_reports: int, unfinished: UnfinishedTraining | None
) -> list[Checkpoint]:
    def report(number: int, epoch: int, figures: Mapping[str, float]) -> None:
        send((number, epoch, dict(figures)))

    own = [partial(report, number) for number in range(0 if rank() else num_reports)]
    return train(task, own, unfinished)


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

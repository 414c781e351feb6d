"""Training under MLflow: finished trainings are loaded, others run in an MLflow run each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from mlic.caching.store import ArtifactStore
from mlic.tracking.metrics import BEST, training_metrics
from mlic.tracking.runs import TrainingRun, tracked_training
from mlic.training.checkpoint import Checkpoint
from mlic.training.job import TrainingJob
from mlic.training.train import JobReport, make_task, peers_of, train
from mlic.training.unfinished import UnfinishedTraining, discard_unfinished, is_unfinished

__all__ = ["train_or_reuse", "train_or_reuse_all"]

log = logging.getLogger(__name__)

TrainJobs = Callable[
    [Sequence[TrainingJob], Sequence[JobReport], UnfinishedTraining], Sequence[Checkpoint]
]


def train_or_reuse(job: TrainingJob, store: Path) -> Checkpoint:
    """Return a job's checkpoint; train only if ``store/<name>`` has none with its fingerprint.

    Peers, if the job has any, are trained with it, and stored like it.
    """
    jobs = [job, *peers_of(job)]
    stores = [ArtifactStore(store / one.name, one.name) for one in jobs]
    return train_or_reuse_all(
        jobs, stores, lambda jobs, *how: train(make_task(*jobs), *how), inseparable=True
    )[0]


def train_or_reuse_all(
    jobs: Sequence[TrainingJob],
    stores: Sequence[ArtifactStore],
    train_jobs: TrainJobs,
    inseparable: bool = False,
) -> list[Checkpoint]:
    """Return the checkpoints of several jobs; those that are not up to date are trained together.

    ``train_jobs`` trains some of the jobs, reports their epochs, and continues where an earlier
    process stopped. Jobs that are ``inseparable``, because they share weights, are all trained
    again if one is not up to date.
    """
    by_name = {job.name: store for job, store in zip(jobs, stores, strict=True)}
    stored = {job.name: by_name[job.name].load("checkpoint", job.components()) for job in jobs}
    done = {name: Checkpoint.from_tensors(*found) for name, found in stored.items() if found}
    missing = [job for job in jobs if job.name not in done]
    # Branches that were trained with another trunk do not fit the others.
    if inseparable and done and missing:
        names = ", ".join(job.name for job in missing)
        log.info("All %d jointly trained teachers are trained again: %s must be", len(jobs), names)
        done, missing = {}, list(jobs)
    elif done and missing and is_unfinished(stores[0], jobs):
        # trained together, but not all checkpoints were stored: the last epoch is read again
        done, missing = {}, list(jobs)
    if missing:
        done |= _train_tracked(missing, by_name, train_jobs)
    # only now, when every checkpoint is stored: perhaps by a process that was killed right then
    for store in stores:
        discard_unfinished(store)
    return [done[job.name] for job in jobs]


def _train_tracked(
    jobs: Sequence[TrainingJob], stores: dict[str, ArtifactStore], train_jobs: TrainJobs
) -> dict[str, Checkpoint]:
    """Train, with an MLflow run for each job, and store the checkpoints."""
    done, unfinished = {}, UnfinishedTraining(stores[jobs[0].name], jobs)
    # The stack closes every run with the status that an error or a signal gives it.
    with ExitStack() as stack:
        tracked = [
            tracked_training(job.name, job.components(), _tags(job), unfinished.runs.get(job.name))
            for job in jobs
        ]
        runs = [stack.enter_context(one) for one in tracked]
        unfinished.runs = {job.name: run.run_id for job, run in zip(jobs, runs, strict=True)}
        trained = train_jobs(jobs, [partial(_report, run) for run in runs], unfinished)
        for job, run, checkpoint in zip(jobs, runs, trained, strict=True):
            tensors = checkpoint.to_tensors()
            path = stores[job.name].save("checkpoint", job.components(), *tensors)
            # Logged at the step of the selected epoch, whose weights the checkpoint has.
            run.log_file(path, "checkpoint")
            run.log_epoch(checkpoint.info.epoch, _outcome(checkpoint))
            done[job.name] = checkpoint
    return done


def _report(run: TrainingRun, epoch: int, figures: Mapping[str, float]) -> None:
    run.log_epoch(epoch, training_metrics(figures))


def _outcome(checkpoint: Checkpoint) -> dict[str, float]:
    """Return the numbers that MLflow's table of runs is sorted by."""
    best = checkpoint.info.validation_map
    score = {} if best is None else {BEST: 100 * best}
    return {"seconds": checkpoint.info.seconds, **score}


def _tags(job: TrainingJob) -> dict[str, str]:
    # The fingerprints tie a run in MLflow to the files that it was trained on.
    provenance = job.provenance or {}
    tags = {
        "role": job.role,
        "strategy": str(provenance.get("strategy", "")),
        "part": str(provenance.get("part", "")),
        "labels": ", ".join(job.labels.space.names),
        "seed": str(job.view_seed),
        "data_fingerprint": job.images.fingerprint,
        "label_fingerprint": job.labels.fingerprint,
        "partition_fingerprint": str(provenance.get("partition", "")),
    }
    # Only teachers have a strategy and a part, and only those of parts have a partition.
    return {name: value for name, value in tags.items() if value}

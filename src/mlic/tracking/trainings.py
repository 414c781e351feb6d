"""What every training node does: load what is up to date, else train under an MLflow run."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING

from mlic.tracking.runs import tracked_training

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mlic.training.checkpoint import Checkpoint
    from mlic.training.fit import Report
    from mlic.training.job import TrainingJob

__all__ = ["train_or_reuse", "train_or_reuse_all"]

log = logging.getLogger(__name__)


def train_or_reuse(job: TrainingJob, store: Path) -> Checkpoint:
    """Checkpoint of a job, trained only if nothing in the store was made from the same.

    Parameters
    ----------
    job
        What to train.
    store
        Folder of all stores; the training's own is named like it.
    """

    def train_one(jobs: Sequence[TrainingJob], reports: Sequence[Report]) -> list[Checkpoint]:
        from mlic.training.fit import train

        return [train(jobs[0], reports[0])]

    (checkpoint,) = train_or_reuse_all([job], [store / job.name], train_one)
    return checkpoint


def train_or_reuse_all(
    jobs: Sequence[TrainingJob],
    folders: Sequence[Path],
    train: Callable[[Sequence[TrainingJob], Sequence[Report]], Sequence[Checkpoint]],
    inseparable: bool = False,
) -> list[Checkpoint]:
    """Checkpoints of several jobs; those not up to date are trained together, a run each.

    Parameters
    ----------
    jobs
        What to train.
    folders
        The store of each.
    train
        Makes checkpoints of those jobs that need it, and reports their epochs.
    inseparable
        Whether all are trained again if one is not up to date.
    """
    from mlic.caching.store import ArtifactStore
    from mlic.training.checkpoint import Checkpoint

    stores = {job.name: ArtifactStore(at, job.name) for job, at in zip(jobs, folders, strict=True)}
    kept = {job.name: stores[job.name].load("checkpoint", job.components()) for job in jobs}
    done = {name: Checkpoint.from_tensors(*found) for name, found in kept.items() if found}
    missing = [job for job in jobs if job.name not in done]
    if inseparable and done and missing:
        names = ", ".join(job.name for job in missing)
        log.info("All %d of one pass are trained again: %s must be", len(jobs), names)
        done, missing = {}, list(jobs)
    if missing:
        with ExitStack() as stack:
            runs = [
                stack.enter_context(tracked_training(job.name, job.components(), _tags(job)))
                for job in missing
            ]
            made = train(missing, [run.report for run in runs])
            for job, run, checkpoint in zip(missing, runs, made, strict=True):
                store = stores[job.name]
                path = store.save("checkpoint", job.components(), *checkpoint.to_tensors())
                run.attach(path, "checkpoint")
                run.report(checkpoint.info.epoch, _outcome(checkpoint))
                done[job.name] = checkpoint
    return [done[job.name] for job in jobs]


def _outcome(checkpoint: Checkpoint) -> dict[str, float]:
    """What MLflow's table of runs is sorted by."""
    best = checkpoint.info.validation_map
    judged = {} if best is None else {"best_validation_mAP": best}
    return {"seconds": checkpoint.info.seconds, **judged}


def _tags(job: TrainingJob) -> dict[str, str]:
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
    return {name: value for name, value in tags.items() if value}

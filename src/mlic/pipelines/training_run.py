"""What every training node does: load what is up to date, else train under an MLflow run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mlic.pipelines.tracking import tracked_training

if TYPE_CHECKING:
    from pathlib import Path

    from mlic.training.checkpoint import Checkpoint
    from mlic.training.job import TrainingJob

__all__ = ["train_or_reuse"]

log = logging.getLogger(__name__)


def train_or_reuse(job: TrainingJob, folder: Path) -> Checkpoint:
    """Checkpoint of a job, trained only if nothing in the store was made from the same.

    Parameters
    ----------
    job
        What to train.
    folder
        The training's own store.
    """
    from mlic.training.checkpoint import Checkpoint
    from mlic.training.store import CheckpointStore

    store = CheckpointStore(folder, job.name)
    components = job.components()
    kept = store.load("checkpoint", components)
    if kept is not None:
        return Checkpoint.from_tensors(*kept)
    from mlic.training.loop import train

    with tracked_training(job.name, components, _tags(job)) as run:
        checkpoint = train(job, run.report)
        path = store.save("checkpoint", components, *checkpoint.to_tensors())
        run.attach(path, "checkpoint")
    return checkpoint


def _tags(job: TrainingJob) -> dict[str, str]:
    provenance = job.provenance or {}
    return {
        "role": job.role,
        "strategy": str(provenance.get("strategy", "")),
        "part": str(provenance.get("part", "")),
        "labels": ", ".join(job.labels.space.names),
        "seed": str(job.view_seed),
        "data_fingerprint": job.pictures.fingerprint,
        "label_fingerprint": job.labels.fingerprint,
        "partition_fingerprint": str(provenance.get("partition", "")),
    }

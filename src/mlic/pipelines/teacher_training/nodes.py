"""Give each group of a partition to a teacher, train it, and write down what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlic.images.options import DataOptions
from mlic.images.store import PictureStore
from mlic.labels import LabelMatrix
from mlic.labels.options import PartitionOptions
from mlic.labels.partition import Partition
from mlic.models.options import ModelOptions
from mlic.pipelines.training_run import train_or_reuse
from mlic.seeds import derive_seed
from mlic.training.checkpoint import Checkpoint
from mlic.training.job import TrainingJob
from mlic.training.options import TrainingOptions
from mlic.training.targets import TeacherLogits

__all__ = ["assign_groups", "train_teacher"]


def assign_groups(partition: Partition, options: PartitionOptions) -> list[dict[str, Any]]:
    """Hand each group to a teacher.

    Raises
    ------
    PartitionError
        If there are not as many groups as teachers are wired.
    """
    partition.require_parts(options.num_parts)
    return [
        {
            "strategy": partition.strategy,
            "part": part,
            "labels": list(partition.names(part)),
            "partition": partition.fingerprint,
        }
        for part in range(partition.num_parts)
    ]


def train_teacher(
    group: dict[str, Any],
    pictures: PictureStore,
    labels: LabelMatrix,
    data: DataOptions,
    model: ModelOptions,
    training: TrainingOptions,
    seed: int,
    store: Path,
) -> tuple[Checkpoint, TeacherLogits]:
    """Train a teacher of one group on all training pictures; write its logits of every view."""
    from mlic.training.job import TrainingJob

    name = f"teachers.{group['strategy']}_{group['part']}"
    job = TrainingJob(
        name=name,
        role="teacher",
        labels=labels.with_labels(labels.space.indices(group["labels"])),
        pictures=pictures,
        image_size=data.image_size,
        model=model,
        options=training.for_role("teacher"),
        seed=derive_seed(seed, name),
        view_seed=seed,
        provenance={key: group[key] for key in ("strategy", "part", "partition")},
    )
    checkpoint = train_or_reuse(job, store)
    return checkpoint, write_logits(job, checkpoint, store)


def write_logits(job: TrainingJob, checkpoint: Checkpoint, folder: Path) -> TeacherLogits:
    """Logits of every view of every training picture, computed only if they are not there yet."""
    from mlic.training.store import CheckpointStore
    from mlic.training.targets import TeacherLogits

    store = CheckpointStore(folder, job.name)
    components = {**job.components(), "teacher": checkpoint.fingerprint}
    kept = store.load("logits", components)
    if kept is not None:
        return TeacherLogits.from_tensors(*kept)
    from mlic.training.predict import predict_training_views

    logits = predict_training_views(job, checkpoint)
    store.save("logits", components, *logits.to_tensors())
    return logits

"""Give each group of a partition to a teacher, train it, and write down what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlic.images.options import DataOptions
from mlic.images.store import PictureStore
from mlic.labels import LabelMatrix
from mlic.labels.embeddings import LabelEmbeddings
from mlic.labels.options import PLAIN, PartitionOptions
from mlic.labels.partition import Partition
from mlic.models.options import ModelOptions
from mlic.pipelines.training_run import train_or_reuse
from mlic.seeds import derive_seed
from mlic.training.checkpoint import Checkpoint
from mlic.training.job import TrainingJob
from mlic.training.options import TrainingOptions
from mlic.training.targets import TeacherLogits

__all__ = ["assign_all_labels", "assign_groups", "train_teacher"]


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


def assign_all_labels(labels: LabelMatrix, options: PartitionOptions) -> list[dict[str, Any]]:
    """Hand all labels to every plain teacher: no partition, and none is named."""
    names = list(labels.space.names)
    return [
        {"strategy": PLAIN, "part": number, "labels": names} for number in range(options.num_plain)
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
    embeddings: LabelEmbeddings | None = None,
) -> tuple[Checkpoint, TeacherLogits]:
    """Train a teacher of one group on all training pictures; write its logits of every view.

    Its seed comes from its name, so plain teachers differ though they learn the same labels.
    """
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
        embeddings=embeddings,
        provenance={key: value for key, value in group.items() if key != "labels"},
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

"""Give each group of a partition to a teacher, train it, and write down what it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlic.images.options import DataOptions
from mlic.images.store import PictureStore
from mlic.labels import LabelMatrix
from mlic.labels.embeddings import LabelEmbeddings
from mlic.labels.options import PLAIN, PartitionOptions
from mlic.labels.partition import Partition
from mlic.models.options import BranchedModelOptions, ModelOptions
from mlic.pipelines.training_run import train_or_reuse, train_or_reuse_all
from mlic.seeds import derive_seed
from mlic.training.checkpoint import Checkpoint
from mlic.training.options import TeacherOptions, TrainingOptions
from mlic.training.targets import TeacherLogits

if TYPE_CHECKING:
    from mlic.training.job import TrainingJob

__all__ = ["assign_all_labels", "assign_groups", "train_teacher", "train_teachers_jointly"]


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
    teachers: TeacherOptions,
    seed: int,
    store: Path,
    embeddings: LabelEmbeddings | None = None,
) -> tuple[Checkpoint, TeacherLogits]:
    """Train a teacher of one group on all training pictures; write its logits of every view.

    Its seed comes from its name, so plain teachers differ though they learn the same labels.
    """
    from mlic.training.predict import predict_training_views, write_logits
    from mlic.training.store import CheckpointStore

    job = _describe(group, pictures, labels, data, model, training, seed, embeddings)
    checkpoint = train_or_reuse(job, store)
    views = predict_training_views(job, checkpoint)
    kept = CheckpointStore(store, job.name)
    return checkpoint, write_logits(job, checkpoint, views, kept, teachers.targets)


def train_teachers_jointly(
    baseline: Checkpoint,
    pictures: PictureStore,
    labels: LabelMatrix,
    data: DataOptions,
    model: ModelOptions,
    training: TrainingOptions,
    teachers: TeacherOptions,
    seed: int,
    store: Path,
    embeddings: LabelEmbeddings | None = None,
    **groups: dict[str, Any],
) -> dict[str, Checkpoint | TeacherLogits]:
    """Train a branch a group on the baseline's lower layers, all in one pass over its features.

    Each has an MLflow run, a store and a checkpoint of its own, and what is up to date is not
    trained again: branches on a frozen trunk do not depend on each other.
    """
    from mlic.training.joint import predict_branch_views, train_branches
    from mlic.training.predict import write_logits
    from mlic.training.store import CheckpointStore
    from mlic.training.trunk import FrozenTrunk

    cut = BranchedModelOptions(**model.model_dump(), branch=teachers.branch)
    shared = (pictures, labels, data, cut, training, seed, embeddings, baseline.fingerprint)
    jobs = [_describe(group, *shared) for group in groups.values()]
    folders = [store / job.name for job in jobs]
    outputs: dict[str, Checkpoint | TeacherLogits] = {}
    with FrozenTrunk(baseline, jobs[0], store) as trunk:
        made = train_or_reuse_all(
            jobs, folders, lambda missing, reports: train_branches(missing, trunk, reports)
        )
        for job, folder, checkpoint in zip(jobs, folders, made, strict=True):
            kept, name = CheckpointStore(folder, job.name), job.name.removeprefix("teachers.")
            views = predict_branch_views(job, checkpoint, trunk)
            outputs[f"{name}.checkpoint"] = checkpoint
            outputs[f"{name}.logits"] = write_logits(job, checkpoint, views, kept, teachers.targets)
    return outputs


def _describe(
    group: dict[str, Any],
    pictures: PictureStore,
    labels: LabelMatrix,
    data: DataOptions,
    model: ModelOptions,
    training: TrainingOptions,
    seed: int,
    embeddings: LabelEmbeddings | None,
    trunk: str | None = None,
) -> TrainingJob:
    """Describe the training of one teacher."""
    from mlic.training.job import TrainingJob

    name = f"teachers.{group['strategy']}_{group['part']}"
    made_by = {key: value for key, value in group.items() if key != "labels"}
    return TrainingJob(
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
        provenance=made_by | ({"trunk": trunk} if trunk else {}),
    )

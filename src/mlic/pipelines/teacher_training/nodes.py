"""Give each group of a partition to a teacher, train it, and write down what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlic.images.options import DataOptions
from mlic.labels.options import FULL_LABEL, PartitionOptions
from mlic.models.options import BranchedModelOptions, ModelOptions
from mlic.tracking.trainings import train_or_reuse, train_or_reuse_all
from mlic.training.options import TeacherOptions, TrainingOptions
from mlic.utils.seeds import derive_seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlic.caching.store import CheckpointStore
    from mlic.distillation.targets import TeacherLogits
    from mlic.images.store import ImageStore
    from mlic.labels import LabelMatrix
    from mlic.labels.embeddings import LabelEmbeddings
    from mlic.labels.partition import Partition
    from mlic.training.checkpoint import Checkpoint
    from mlic.training.job import TrainingJob

    Taught = tuple[list[Checkpoint], list[TeacherLogits]]
else:  # Kedro reads the annotations as it starts, and needs only those of parameters
    ImageStore = LabelMatrix = LabelEmbeddings = Any
    Partition = Checkpoint = TeacherLogits = Any

__all__ = ["assign_all_labels", "assign_groups", "train_teacher", "train_teachers"]


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
        {"strategy": FULL_LABEL, "part": number, "labels": names}
        for number in range(options.num_full_label)
    ]


def train_teacher(
    group: dict[str, Any],
    images: ImageStore,
    labels: LabelMatrix,
    data: DataOptions,
    model: ModelOptions,
    training: TrainingOptions,
    teachers: TeacherOptions,
    seed: int,
    store: Path,
    embeddings: LabelEmbeddings | None = None,
) -> tuple[Checkpoint, TeacherLogits]:
    """Train a teacher of one group on all training images; write its logits of every view.

    Its seed comes from its name, so plain teachers differ though they learn the same labels.
    """
    from mlic.caching.store import CheckpointStore
    from mlic.training.predict import predict_training_views, write_logits

    job = _describe(group, images, labels, data, model, training, seed, embeddings)
    checkpoint = train_or_reuse(job, store)
    views = predict_training_views(job, checkpoint)
    kept = CheckpointStore(store / job.name, job.name)
    return checkpoint, write_logits(job, checkpoint, views, kept, teachers.targets)


def train_teachers(
    images: ImageStore,
    labels: LabelMatrix,
    data: DataOptions,
    model: ModelOptions,
    training: TrainingOptions,
    teachers: TeacherOptions,
    seed: int,
    store: Path,
    embeddings: LabelEmbeddings | None = None,
    baseline: Checkpoint | None = None,
    **groups: dict[str, Any],
) -> dict[str, Checkpoint | TeacherLogits]:
    """Train all teachers in one pass, a branch each: on one trunk, or on the baseline's.

    Each has an MLflow run, a store, a checkpoint and logits of its own.
    """
    from mlic.caching.store import CheckpointStore

    cut = BranchedModelOptions(**model.model_dump(), branch=teachers.branch)
    shared = (images, labels, data, cut, training, seed, embeddings)
    jobs = [_describe(group, *shared) for group in groups.values()]
    stores = [  # what one mode made is kept when another is tried
        CheckpointStore(store / job.name / teachers.mode, job.name) for job in jobs
    ]
    if baseline is None:
        made = _train_jointly(jobs, stores, teachers.targets)
    else:
        made = _train_on_frozen(jobs, stores, teachers.targets, baseline, store)
    outputs: dict[str, Checkpoint | TeacherLogits] = {}
    for job, checkpoint, logits in zip(jobs, *made, strict=True):
        name = job.name.removeprefix("teachers.")
        outputs |= {f"{name}.checkpoint": checkpoint, f"{name}.logits": logits}
    return outputs


def _train_jointly(
    jobs: Sequence[TrainingJob], stores: Sequence[CheckpointStore], dtype: str
) -> Taught:
    """Train branches and their trunk: what one learns bears on all, so all are made of all."""
    from mlic.training.joint import predict_jointly, train_jointly
    from mlic.training.predict import write_all_logits

    together = {job.name: job.labels.fingerprint for job in jobs}
    seed = derive_seed(jobs[0].view_seed, "teachers")
    jobs = [replace(_made_from(job, together=together), seed=seed) for job in jobs]
    folders = [store.folder for store in stores]
    made = train_or_reuse_all(jobs, folders, train_jointly, inseparable=True)
    views = predict_jointly(jobs, made)
    return made, write_all_logits(jobs, made, views, stores, dtype)


def _train_on_frozen(
    jobs: Sequence[TrainingJob],
    stores: Sequence[CheckpointStore],
    dtype: str,
    baseline: Checkpoint,
    folder: Path,
) -> Taught:
    """Train branches on features of the baseline: they do not depend on each other."""
    from mlic.training.frozen import predict_branch_views, train_branches
    from mlic.training.predict import write_logits
    from mlic.training.trunk import FrozenTrunk

    jobs = [_made_from(job, trunk=baseline.fingerprint) for job in jobs]
    folders = [store.folder for store in stores]
    with FrozenTrunk(baseline, jobs[0], folder) as trunk:
        made = train_or_reuse_all(
            jobs, folders, lambda missing, reports: train_branches(missing, trunk, reports)
        )
        logits = [
            write_logits(job, one, predict_branch_views(job, one, trunk), store, dtype)
            for job, one, store in zip(jobs, made, stores, strict=True)
        ]
    return made, logits


def _made_from(job: TrainingJob, **sources: Any) -> TrainingJob:
    """Name what else a job is made from."""
    return replace(job, provenance={**(job.provenance or {}), **sources})


def _describe(
    group: dict[str, Any],
    images: ImageStore,
    labels: LabelMatrix,
    data: DataOptions,
    model: ModelOptions,
    training: TrainingOptions,
    seed: int,
    embeddings: LabelEmbeddings | None,
) -> TrainingJob:
    """Describe the training of one teacher."""
    from mlic.training.job import TrainingJob

    name = f"teachers.{group['strategy']}_{group['part']}"
    return TrainingJob(
        name=name,
        role="teacher",
        labels=labels.with_labels(labels.space.indices(group["labels"])),
        images=images,
        image_size=data.image_size,
        model=model,
        options=training.for_role("teacher"),
        seed=derive_seed(seed, name),
        view_seed=seed,
        embeddings=embeddings,
        provenance={key: value for key, value in group.items() if key != "labels"},
    )

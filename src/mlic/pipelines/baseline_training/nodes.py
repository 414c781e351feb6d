"""Train the models that a person would have trained; let the baseline be a teacher, too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlic.images.options import DataOptions
from mlic.labels.options import PartitionOptions
from mlic.models.options import ModelOptions
from mlic.tracking.trainings import train_or_reuse
from mlic.training.options import TeacherOptions, TrainingOptions
from mlic.utils.seeds import derive_seed

if TYPE_CHECKING:
    from mlic.distillation.targets import TeacherLogits
    from mlic.images.store import ImageStore
    from mlic.labels import LabelMatrix
    from mlic.labels.embeddings import LabelEmbeddings
    from mlic.training.checkpoint import Checkpoint
    from mlic.training.job import TrainingJob
else:  # Kedro reads the annotations as it starts, and needs only those of parameters
    ImageStore = LabelMatrix = LabelEmbeddings = Any
    Checkpoint = TeacherLogits = Any

__all__ = ["predict_teacher_logits", "train_baseline", "train_budget_matched_baseline"]


def train_baseline(
    images: ImageStore,
    labels: LabelMatrix,
    data: DataOptions,
    model: ModelOptions,
    training: TrainingOptions,
    seed: int,
    store: Path,
    embeddings: LabelEmbeddings | None = None,
) -> Checkpoint:
    """Train one plain model of all labels."""
    options = training.for_role("baseline")
    job = _describe("baseline", images, labels, data, model, options, seed, embeddings)
    return train_or_reuse(job, store)


def predict_teacher_logits(
    checkpoint: Checkpoint,
    images: ImageStore,
    labels: LabelMatrix,
    data: DataOptions,
    model: ModelOptions,
    training: TrainingOptions,
    teachers: TeacherOptions,
    seed: int,
    store: Path,
    embeddings: LabelEmbeddings | None = None,
) -> TeacherLogits:
    """Write the baseline's logits of every view, for the student to learn from."""
    from mlic.caching.store import ArtifactStore
    from mlic.training.predict import predict_training_views, write_logits

    options = training.for_role("baseline")
    job = _describe("baseline", images, labels, data, model, options, seed, embeddings)
    name = f"{job.name}.logits"  # beside the training's own folder, which another node answers for
    kept = ArtifactStore(store / name, name)
    views = predict_training_views(job, checkpoint)
    return write_logits(job, checkpoint, views, kept, teachers.targets)


def train_budget_matched_baseline(
    images: ImageStore,
    labels: LabelMatrix,
    data: DataOptions,
    model: ModelOptions,
    training: TrainingOptions,
    partition: PartitionOptions,
    teachers: TeacherOptions,
    seed: int,
    store: Path,
    embeddings: LabelEmbeddings | None = None,
) -> Checkpoint:
    """Train the plain model for as many epochs as self-distillation costs passes in all."""
    from mlic.config.cost import count_psd_passes

    epochs = round(count_psd_passes(training, partition, teachers))
    options = training.for_role("baseline").model_copy(update={"epochs": epochs})
    job = _describe(
        "budget_matched_baseline", images, labels, data, model, options, seed, embeddings
    )
    return train_or_reuse(job, store)


def _describe(
    name: str,
    images: ImageStore,
    labels: LabelMatrix,
    data: DataOptions,
    model: ModelOptions,
    options: TrainingOptions,
    seed: int,
    embeddings: LabelEmbeddings | None,
) -> TrainingJob:
    """Describe the training of one plain model."""
    from mlic.training.job import TrainingJob

    return TrainingJob(
        name=name,
        role="baseline",
        labels=labels,
        images=images,
        image_size=data.image_size,
        model=model,
        options=options,
        seed=derive_seed(seed, name),
        view_seed=seed,
        embeddings=embeddings,
    )

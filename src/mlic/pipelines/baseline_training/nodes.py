"""Train the models that a person would have trained; let the baseline be a teacher, too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlic.images.options import DataOptions
from mlic.labels.options import PartitionOptions
from mlic.models.options import ModelOptions
from mlic.pipelines.training_run import train_or_reuse
from mlic.seeds import derive_seed
from mlic.training.options import TeacherOptions, TrainingOptions

if TYPE_CHECKING:
    from mlic.images.store import PictureStore
    from mlic.labels import LabelMatrix
    from mlic.labels.embeddings import LabelEmbeddings
    from mlic.training.checkpoint import Checkpoint
    from mlic.training.job import TrainingJob
    from mlic.training.targets import TeacherLogits
else:  # Kedro reads the annotations as it starts, and needs only those of parameters
    PictureStore = LabelMatrix = LabelEmbeddings = Any
    Checkpoint = TeacherLogits = Any

__all__ = ["tell_views", "train_baseline", "train_longer"]


def train_baseline(
    pictures: PictureStore,
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
    job = _describe("baseline", pictures, labels, data, model, options, seed, embeddings)
    return train_or_reuse(job, store)


def tell_views(
    checkpoint: Checkpoint,
    pictures: PictureStore,
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
    from mlic.training.predict import predict_training_views, write_logits
    from mlic.training.store import CheckpointStore

    options = training.for_role("baseline")
    job = _describe("baseline", pictures, labels, data, model, options, seed, embeddings)
    name = f"{job.name}.logits"  # beside the training's own folder, which another node answers for
    kept = CheckpointStore(store / name, name)
    views = predict_training_views(job, checkpoint)
    return write_logits(job, checkpoint, views, kept, teachers.targets)


def train_longer(
    pictures: PictureStore,
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
    from mlic.pipelines.plan import passes_of_psd

    epochs = round(passes_of_psd(training, partition, teachers))
    options = training.for_role("baseline").model_copy(update={"epochs": epochs})
    job = _describe("longer", pictures, labels, data, model, options, seed, embeddings)
    return train_or_reuse(job, store)


def _describe(
    name: str,
    pictures: PictureStore,
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
        pictures=pictures,
        image_size=data.image_size,
        model=model,
        options=options,
        seed=derive_seed(seed, name),
        view_seed=seed,
        embeddings=embeddings,
    )

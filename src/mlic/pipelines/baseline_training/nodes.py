"""Train the models that a person would have trained."""

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
else:  # Kedro reads the annotations as it starts, and needs only those of parameters
    PictureStore = LabelMatrix = LabelEmbeddings = Checkpoint = Any

__all__ = ["train_baseline", "train_longer"]


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
    return _train("baseline", pictures, labels, data, model, options, seed, store, embeddings)


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
    return _train("longer", pictures, labels, data, model, options, seed, store, embeddings)


def _train(
    name: str,
    pictures: PictureStore,
    labels: LabelMatrix,
    data: DataOptions,
    model: ModelOptions,
    options: TrainingOptions,
    seed: int,
    store: Path,
    embeddings: LabelEmbeddings | None,
) -> Checkpoint:
    from mlic.training.job import TrainingJob

    job = TrainingJob(
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
    return train_or_reuse(job, store)

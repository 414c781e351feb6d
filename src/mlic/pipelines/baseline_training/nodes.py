"""Train the model that a person would have trained."""

from __future__ import annotations

from pathlib import Path

from mlic.images.options import DataOptions
from mlic.images.store import PictureStore
from mlic.labels import LabelMatrix
from mlic.models.options import ModelOptions
from mlic.pipelines.training_run import train_or_reuse
from mlic.seeds import derive_seed
from mlic.training.checkpoint import Checkpoint
from mlic.training.options import TrainingOptions

__all__ = ["train_baseline"]


def train_baseline(
    pictures: PictureStore,
    labels: LabelMatrix,
    data: DataOptions,
    model: ModelOptions,
    training: TrainingOptions,
    seed: int,
    store: Path,
) -> Checkpoint:
    """Train one plain model of all labels."""
    from mlic.training.job import TrainingJob

    job = TrainingJob(
        name="baseline",
        role="baseline",
        labels=labels,
        pictures=pictures,
        image_size=data.image_size,
        model=model,
        options=training.for_role("baseline"),
        seed=derive_seed(seed, "baseline"),
        view_seed=seed,
    )
    return train_or_reuse(job, store)

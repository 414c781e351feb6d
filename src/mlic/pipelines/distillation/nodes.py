"""Join what the teachers wrote, and train the student on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlic.images.options import DataOptions
from mlic.models.options import ModelOptions
from mlic.tracking.trainings import train_or_reuse
from mlic.training.options import DistillationOptions, TrainingOptions
from mlic.utils.seeds import derive_seed

if TYPE_CHECKING:
    from mlic.distillation.targets import SoftTargets, TeacherLogits
    from mlic.images.store import ImageStore
    from mlic.labels import LabelMatrix
    from mlic.labels.embeddings import LabelEmbeddings
    from mlic.training.checkpoint import Checkpoint
else:  # Kedro reads the annotations as it starts, and needs only those of parameters
    ImageStore = LabelMatrix = LabelEmbeddings = Any
    Checkpoint = SoftTargets = TeacherLogits = Any

__all__ = ["join_logits", "train_student"]


def join_logits(labels: LabelMatrix, store: Path, *logits: TeacherLogits) -> SoftTargets:
    """Put the logits of all teachers in the order of the label space, in one file."""
    from mlic.caching.store import ArtifactStore
    from mlic.distillation.joining import join_targets

    members: dict[str, list[TeacherLogits]] = {}
    for one in logits:
        members.setdefault(one.strategy, []).append(one)
    name = "soft_targets"
    return join_targets(labels.space, members, ArtifactStore(store / name, name))


def train_student(
    images: ImageStore,
    labels: LabelMatrix,
    soft_targets: SoftTargets,
    data: DataOptions,
    model: ModelOptions,
    training: TrainingOptions,
    distillation: DistillationOptions,
    seed: int,
    store: Path,
    embeddings: LabelEmbeddings | None = None,
) -> Checkpoint:
    """Train one model of all labels on the truth and on its teachers."""
    from mlic.training.job import TrainingJob

    job = TrainingJob(
        name="student",
        role="student",
        labels=labels,
        images=images,
        image_size=data.image_size,
        model=model,
        options=training.for_role("student"),
        seed=derive_seed(seed, "student"),
        view_seed=seed,
        embeddings=embeddings,
        targets=soft_targets,
        distillation=distillation,
    )
    return train_or_reuse(job, store)

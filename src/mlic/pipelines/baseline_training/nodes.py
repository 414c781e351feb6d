"""Train the models without teachers; predict the baseline's logits, for it may be a teacher too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlic.config.cost import count_psd_passes
from mlic.labels.options import PartitionOptions
from mlic.training.options import TeacherOptions

if TYPE_CHECKING:
    from mlic.distillation.targets import TeacherLogits
    from mlic.training.checkpoint import Checkpoint

__all__ = ["predict_teacher_logits", "train_baseline", "train_budget_matched_baseline"]


def train_baseline(store: Path, **inputs: Any) -> Checkpoint:
    """Train one model of all labels, without teachers.

    Parameters
    ----------
    store
        Folder of finished trainings.
    **inputs
        See `mlic.training.inputs.TrainingInputs`.
    """
    from mlic.tracking.trainings import train_or_reuse
    from mlic.training.inputs import TrainingInputs

    return train_or_reuse(TrainingInputs(**inputs).make_job("baseline", "baseline"), store)


def predict_teacher_logits(
    checkpoint: Checkpoint, store: Path, teachers: TeacherOptions, **inputs: Any
) -> TeacherLogits:
    """Predict the baseline's logits of every view, as a teacher's.

    Parameters
    ----------
    checkpoint
        The baseline.
    store
        Folder of finished trainings.
    teachers
        Precision of the logits.
    **inputs
        See `mlic.training.inputs.TrainingInputs`.
    """
    from mlic.caching.store import ArtifactStore
    from mlic.distillation.teacher_logits import write_logits
    from mlic.training.inputs import TrainingInputs
    from mlic.training.predict import predict_training_views

    job = TrainingInputs(**inputs).make_job("baseline", "baseline")
    name = f"{job.name}.logits"  # not the training's own folder, which belongs to another node
    artifacts = ArtifactStore(store / name, name)
    views = predict_training_views(job, checkpoint)
    return write_logits(job, checkpoint, views, artifacts, teachers.targets)


def train_budget_matched_baseline(
    store: Path, partition: PartitionOptions, teachers: TeacherOptions, **inputs: Any
) -> Checkpoint:
    """Train the baseline for as many epochs as distillation costs training passes in all.

    Parameters
    ----------
    store
        Folder of finished trainings.
    partition, teachers
        Number and kind of the teachers, which decide the budget.
    **inputs
        See `mlic.training.inputs.TrainingInputs`.
    """
    from mlic.tracking.trainings import train_or_reuse
    from mlic.training.inputs import TrainingInputs

    given = TrainingInputs(**inputs)
    epochs = round(count_psd_passes(given.training, partition, teachers))
    options = given.training.for_role("baseline").model_copy(update={"epochs": epochs})
    job = given.make_job("budget_matched_baseline", "baseline", options=options)
    return train_or_reuse(job, store)

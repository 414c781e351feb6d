"""Train the models without teachers; predict the baseline's logits, for it may be a teacher too.

``store`` is the folder of finished trainings; ``**inputs`` are the fields of
`mlic.training.inputs.TrainingInputs`, which all trainings of a run share.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlic.config.cost import count_psd_passes
from mlic.labels.options import PartitionOptions
from mlic.training.distillation_options import TeacherOptions

if TYPE_CHECKING:
    from mlic.distillation.targets import TeacherLogits
    from mlic.training.checkpoint import Checkpoint

__all__ = ["predict_teacher_logits", "train_baseline", "train_budget_matched_baseline"]


def train_baseline(store: Path, **inputs: Any) -> Checkpoint:
    """Train one model of all labels, without teachers."""
    from mlic.tracking.trainings import train_or_reuse
    from mlic.training.inputs import TrainingInputs

    return train_or_reuse(TrainingInputs(**inputs).make_job("baseline", "baseline"), store)


def predict_teacher_logits(
    checkpoint: Checkpoint, store: Path, teachers: TeacherOptions, **inputs: Any
) -> TeacherLogits:
    """Predict the baseline's logits of every view, as a teacher's."""
    from mlic.caching.store import ArtifactStore
    from mlic.distillation.teacher_logits import write_logits
    from mlic.training.inputs import TrainingInputs
    from mlic.training.predict import predict_training_views

    job = TrainingInputs(**inputs).make_job("baseline", "baseline")
    # Not the training's own folder: that belongs to another node.
    name = f"{job.name}.logits"
    artifacts = ArtifactStore(store / name, name)
    views = predict_training_views(job, checkpoint)
    return write_logits(job, checkpoint, views, artifacts, teachers.targets)


def train_budget_matched_baseline(
    store: Path, partition: PartitionOptions, teachers: TeacherOptions, **inputs: Any
) -> Checkpoint:
    """Train the baseline for as many epochs as distillation costs training passes in all."""
    from mlic.tracking.trainings import train_or_reuse
    from mlic.training.inputs import TrainingInputs

    given = TrainingInputs(**inputs)
    # Passes and not seconds: the budget must not depend on the machine.
    size = given.data.image_size
    epochs = round(count_psd_passes(given.training, partition, teachers, size))
    # one model, with the whole budget for its own epochs
    own = {"epochs": epochs, "peers": 0}
    options = given.training.for_role("baseline").model_copy(update=own)
    job = given.make_job("budget_matched_baseline", "baseline", options=options)
    return train_or_reuse(job, store)

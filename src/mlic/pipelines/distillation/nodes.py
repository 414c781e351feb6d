"""Join the teachers' logits, and train the student on them.

``store`` is the folder of finished trainings; ``**inputs`` are the fields of
`mlic.training.inputs.TrainingInputs`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlic.training.options import DistillationOptions

if TYPE_CHECKING:
    from mlic.distillation.targets import SoftTargets, TeacherLogits
    from mlic.labels import LabelMatrix
    from mlic.training.checkpoint import Checkpoint

__all__ = ["join_logits", "train_student"]


def join_logits(labels: LabelMatrix, store: Path, *logits: TeacherLogits) -> SoftTargets:
    """Join the logits of all teachers, given in any order, in the order of the label space."""
    from mlic.caching.store import ArtifactStore
    from mlic.distillation.joining import join_targets

    # The teachers of one strategy together cover all labels.
    by_strategy: dict[str, list[TeacherLogits]] = {}
    for teacher in logits:
        by_strategy.setdefault(teacher.strategy, []).append(teacher)
    name = "soft_targets"
    return join_targets(labels.space, by_strategy, ArtifactStore(store / name, name))


def train_student(
    soft_targets: SoftTargets, distillation: DistillationOptions, store: Path, **inputs: Any
) -> Checkpoint:
    """Train one model of all labels on the labels and on its teachers' logits."""
    from mlic.tracking.trainings import train_or_reuse
    from mlic.training.inputs import TrainingInputs

    given = TrainingInputs(**inputs)
    job = given.make_job("student", "student", targets=soft_targets, distillation=distillation)
    return train_or_reuse(job, store)

"""Join the teachers' logits, train the student on them, and average it with the baseline.

``store`` is the folder of finished trainings; ``**inputs`` are the fields of
`mlic.training.inputs.TrainingInputs`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlic.training.distillation_options import AveragingOptions, DistillationOptions

if TYPE_CHECKING:
    from mlic.distillation.targets import SoftTargets, TeacherLogits
    from mlic.labels import LabelMatrix
    from mlic.training.checkpoint import Checkpoint

__all__ = ["average_student", "join_logits", "train_student"]


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
    from mlic.utils.seeds import derive_seed

    given = TrainingInputs(**inputs)
    # The baseline's seed decides its initial weights; the order of the images stays the student's.
    start = derive_seed(given.seed, "baseline") if distillation.start == "baseline" else None
    soft: dict[str, Any] = {"targets": soft_targets, "distillation": distillation}
    return train_or_reuse(given.make_job("student", "student", start_seed=start, **soft), store)


def average_student(
    baseline: Checkpoint, student: Checkpoint, averaging: AveragingOptions, **inputs: Any
) -> Checkpoint:
    """Average the weights of baseline and student, if that is better on validation."""
    from mlic.training.averaging import average_checkpoints
    from mlic.training.inputs import TrainingInputs

    job = TrainingInputs(**inputs).make_job("student", "student")
    return average_checkpoints(baseline, student, job, averaging)

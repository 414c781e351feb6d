"""Cost of a run in training passes over the images, which depends on no machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlic.distillation.teacher_id import list_teachers
from mlic.labels.options import BASELINE, FULL_LABEL

if TYPE_CHECKING:
    from mlic.config.parameters import Parameters
    from mlic.labels.options import PartitionOptions
    from mlic.training.options import TeacherOptions, TrainingOptions

__all__ = [
    "BRANCH_SHARE",
    "FORWARD_SHARE",
    "SINGLE_MODELS",
    "count_group_teachers",
    "count_passes",
    "count_psd_passes",
]

SINGLE_MODELS = ("baseline", "budget_matched_baseline", "student")  # in the order of training
BRANCH_SHARE = 0.01  # of a ResNet-50's training step; where it matters, it is measured
FORWARD_SHARE = 1 / 3  # of a training step's time is its forward pass


def count_passes(parameters: Parameters, role: str, branch: float) -> float:
    """Training passes over the images that one training of a role costs."""
    training, partition, teachers = parameters.training, parameters.partition, parameters.teachers
    if role == "budget_matched_baseline":
        return round(count_psd_passes(training, partition, teachers))
    if role == FULL_LABEL:
        return _teacher_passes(training, "teacher")
    if role in partition.strategies and role == BASELINE:
        return _teacher_passes(training, role)
    if role in SINGLE_MODELS:
        return training.for_role(role).epochs
    number = count_group_teachers(partition)
    return _group_passes(training, teachers, number, branch) / number


def count_group_teachers(partition: PartitionOptions) -> int:
    """Teachers of parts of the labels, over all strategies."""
    return len(list_teachers(partition.partitioned, partition.num_parts))


def _teacher_passes(training: TrainingOptions, role: str) -> float:
    """Of a teacher that is a training of its own, and its targets, forward passes alone."""
    options = training.for_role(role)
    return options.epochs + options.augmentation.views * FORWARD_SHARE


def _group_passes(
    training: TrainingOptions, teachers: TeacherOptions, number: int, branch: float
) -> float:
    """Of the teachers of all groups; on a frozen trunk, the trunk sees every view once."""
    alone = _teacher_passes(training, "teacher")
    if teachers.mode == "separate":
        return number * alone
    frozen = teachers.mode == "frozen"
    trunk = alone - training.for_role("teacher").epochs if frozen else alone
    return (trunk + number * branch * alone) if number else 0.0


def count_psd_passes(
    training: TrainingOptions, partition: PartitionOptions, teachers: TeacherOptions
) -> float:
    """Training passes over the images that all teachers, their targets and the student cost.

    The baseline is counted where it teaches, and not where frozen teachers stand on its layers. A
    branch counts as much as it does on a ResNet-50, so that the figure is the same on any machine.
    """
    groups = _group_passes(training, teachers, count_group_teachers(partition), BRANCH_SHARE)
    plain = (
        partition.num_full_label
        * (FULL_LABEL in partition.strategies)
        * _teacher_passes(training, "teacher")
    )
    baseline = (BASELINE in partition.strategies) * _teacher_passes(training, "baseline")
    return groups + plain + baseline + training.for_role("student").epochs

"""Cost of a run in training passes over the images, which does not depend on the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlic.distillation.teacher_id import list_teachers
from mlic.labels.options import BASELINE, FULL_LABEL
from mlic.training.distillation_options import MIDDLE_SHARE

if TYPE_CHECKING:
    from mlic.config.parameters import Parameters
    from mlic.labels.options import PartitionOptions
    from mlic.training.distillation_options import AveragingOptions, TeacherOptions
    from mlic.training.options import TrainingOptions

__all__ = [
    "BRANCH_SHARE",
    "FORWARD_SHARE",
    "SINGLE_MODELS",
    "count_averaged_images",
    "count_group_teachers",
    "count_passes",
    "count_psd_passes",
]

SINGLE_MODELS = ("baseline", "budget_matched_baseline", "student")  # in the order of training
BRANCH_SHARE = 0.01  # of a ResNet-50's training step; where it matters, it is measured
FORWARD_SHARE = 1 / 3  # of a training step's time is its forward pass


def count_passes(parameters: Parameters, role: str, branch: float) -> float:
    """Count the training passes over the images that one training costs.

    The role is baseline, student, or the strategy of a teacher; `branch` is the time of one branch,
    divided by the time of a whole training step.
    """
    training, partition, teachers = parameters.training, parameters.partition, parameters.teachers
    size = parameters.data.image_size
    if role == "budget_matched_baseline":
        return round(count_psd_passes(training, partition, teachers, size))  # whole epochs
    if role == FULL_LABEL:
        return _teacher_passes(training, "teacher", size)
    if role in partition.strategies and role == BASELINE:
        return _teacher_passes(training, role, size)
    if role in SINGLE_MODELS:
        return training.for_role(role).passes
    # Teachers that are trained together share their cost equally.
    number = count_group_teachers(partition)
    return _group_passes(training, teachers, number, branch, size) / number


def count_group_teachers(partition: PartitionOptions) -> int:
    """Teachers of parts of the labels, over all strategies."""
    return len(list_teachers(partition.partitioned, partition.num_parts))


def count_averaged_images(averaging: AveragingOptions, train: int, validation: int) -> int:
    """Count the images that a model predicts to average a student, out of so many of each split."""
    if not averaging.enabled:
        return 0
    shares = {*averaging.shares, MIDDLE_SHARE}
    return len(shares) * (min(averaging.images, train) + validation)


def _teacher_passes(training: TrainingOptions, role: str, image_size: int) -> float:
    """Passes of a separately trained teacher, and of the prediction of its targets."""
    options = training.for_role(role)
    # a pass over larger images costs as many of the usual ones as it has pixels
    seen, last = options.pixels(image_size)
    return options.passes * seen + options.augmentation.views * FORWARD_SHARE * last


def _group_passes(
    training: TrainingOptions,
    teachers: TeacherOptions,
    number: int,
    branch: float,
    image_size: int,
) -> float:
    """Passes of all teachers of parts."""
    alone = _teacher_passes(training, "teacher", image_size)
    if teachers.mode == "separate":
        return number * alone
    # A frozen trunk only predicts: once for every view, whatever the number of epochs.
    frozen = teachers.mode == "frozen"
    trunk = alone - training.for_role("teacher").epochs if frozen else alone
    return (trunk + number * branch * alone) if number else 0.0


def count_psd_passes(
    training: TrainingOptions,
    partition: PartitionOptions,
    teachers: TeacherOptions,
    image_size: int,
) -> float:
    """Count the training passes of all teachers, their targets and the student.

    A pass is one over images of the side `image_size`, in pixels, which baseline and student have.
    The baseline counts if it is a teacher, but not if frozen teachers only share its layers. A
    branch counts as much as on a ResNet-50, so that the figure does not depend on the machine.
    """
    number = count_group_teachers(partition)
    groups = _group_passes(training, teachers, number, BRANCH_SHARE, image_size)
    full_label = (
        partition.num_full_label
        * (FULL_LABEL in partition.strategies)
        * _teacher_passes(training, "teacher", image_size)
    )
    baseline = (BASELINE in partition.strategies) * _teacher_passes(
        training, "baseline", image_size
    )
    return groups + full_label + baseline + training.for_role("student").passes

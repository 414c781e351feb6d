"""What a run is about to do, in one line: trainings, minutes, megabytes."""

from __future__ import annotations

import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlic.errors import ParameterError
from mlic.labels.options import BASELINE, PLAIN
from mlic.pipelines.teacher_training.pipeline import teacher_names

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

    from mlic.labels.options import PartitionOptions
    from mlic.parameters import Parameters
    from mlic.training.options import TeacherOptions, TrainingOptions

__all__ = ["count_trainings", "passes_of_psd", "plan_run"]

logger = logging.getLogger(__name__)

_SINGLE = ("baseline", "longer", "student")  # trainings of all labels, in the order they are told

_BRANCH = 0.01  # a branch's share of a ResNet-50's training step; where it counts it is measured
_COPIES = 3  # of weights: the training's store, the catalog's entry, MLflow's artifact
_FORWARD = 1 / 3  # of a training step's time is its forward pass
_JUDGED = 2 * _FORWARD  # raw and averaged weights see the validation split after every epoch


@dataclass(frozen=True)
class _Data:
    """Sizes of the data set, as far as they can be known before it is read."""

    pictures: int
    train: int
    validation: int
    labels: int


def plan_run(pipeline: Pipeline, parameters: Parameters, catalog: CatalogProtocol[str, Any]) -> str:
    """Say what will be trained, for about how long, and how much will be written.

    Minutes come from a few steps timed on this machine.

    Raises
    ------
    DatasetDataError
        If the data set contradicts itself: its labels are read before time is spent on it.
    ParameterError
        If the labels are too few for the groups, or a loss or the distiller refuses its options.
    """
    roles = _roles(pipeline)
    data = _measure_data(pipeline, parameters, catalog)
    if mistake := parameters.partition.too_many_parts(data.labels):
        raise ParameterError(mistake)
    seconds, weights, branch = _measure_step(parameters, data.labels)
    passes = sum(number * _passes(parameters, role, branch) for role, number in roles.items())
    minutes = passes * (data.train + _JUDGED * data.validation) * seconds / 60
    megabytes = _bytes(parameters, data, roles, weights) / 1e6
    number = roles.total()
    return (
        f"{number} training{'s' if number > 1 else ''} ({_spell(roles)}), "
        f"about {max(round(minutes), 1)} minute{'s' if round(minutes) > 1 else ''}, "
        f"{megabytes:.0f} MB on disk"
    )


def count_trainings(pipeline: Pipeline) -> int:
    """How many trainings a pipeline holds; a node may hold several."""
    return _roles(pipeline).total()


def _roles(pipeline: Pipeline) -> Counter[str]:
    made = [name for node in pipeline.nodes if "training" in node.tags for name in node.outputs]
    trained = [name for name in made if name.endswith(".checkpoint")]
    return Counter(_role(name.removesuffix(".checkpoint")) for name in trained)


def _measure_step(parameters: Parameters, num_labels: int) -> tuple[float, int, float]:
    """Seconds of a picture, weights, and a branch's share of them, measured in a thread of its own.

    OpenMP's workers belong to the thread that called them. Had the main thread done so, the
    processes that Kedro's ParallelRunner forks from it would wait for workers they do not have.
    """
    logger.info("Timing a few training steps, to say how long it will take")
    from mlic.training.probe import check_objectives

    check_objectives(parameters.training, parameters.distillation)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_measure, parameters, num_labels).result()


def _measure(parameters: Parameters, num_labels: int) -> tuple[float, int, float]:
    from mlic.models.options import BranchedModelOptions
    from mlic.training.probe import measure_step

    training, size, model = parameters.training, parameters.data.image_size, parameters.model
    seconds, weights = measure_step(model, training.for_role("baseline"), size, num_labels)
    number = _num_groups(parameters.partition)
    if parameters.teachers.mode != "joint" or not number:
        return seconds, weights, _BRANCH
    cut = BranchedModelOptions(**model.model_dump(), branch=parameters.teachers.branch)
    labels = max(num_labels // parameters.partition.num_parts, 1)
    joint, _ = measure_step(cut, training.for_role("teacher"), size, labels, number)
    return seconds, weights, (joint / seconds - 1) / number


def _role(name: str) -> str:
    """Baseline, student, or the strategy of a teacher."""
    return name.removeprefix("teachers.").rpartition("_")[0] or name


def _spell(roles: Counter[str]) -> str:
    teachers = [
        f"{n} {role} teacher{'s' if n > 1 else ''}"
        for role, n in roles.items()
        if role not in _SINGLE
    ]
    singles = [role for role in _SINGLE if role in roles]
    before = [role for role in singles if role != "student"]
    return ", ".join(before + teachers + singles[len(before) :])


def _passes(parameters: Parameters, role: str, branch: float) -> float:
    """Training passes over the pictures that one training of a role costs."""
    training, partition, teachers = parameters.training, parameters.partition, parameters.teachers
    if role == "longer":
        return round(passes_of_psd(training, partition, teachers))
    if role == PLAIN:
        return _taught(training, "teacher")
    if role in partition.strategies and role == BASELINE:
        return _taught(training, role)
    if role in _SINGLE:
        return training.for_role(role).epochs
    number = _num_groups(partition)
    return _passes_of_groups(training, teachers, number, branch) / number


def _num_groups(partition: PartitionOptions) -> int:
    return len(teacher_names(partition.partitioned, partition.num_parts))


def _taught(training: TrainingOptions, role: str) -> float:
    """Of a teacher that is a training of its own, and its targets, forward passes alone."""
    options = training.for_role(role)
    return options.epochs + options.augmentation.views * _FORWARD


def _passes_of_groups(
    training: TrainingOptions, teachers: TeacherOptions, number: int, branch: float
) -> float:
    """Of the teachers of all groups; on a frozen trunk, the trunk sees every view once."""
    alone = _taught(training, "teacher")
    if teachers.mode == "separate":
        return number * alone
    frozen = teachers.mode == "frozen"
    trunk = alone - training.for_role("teacher").epochs if frozen else alone
    return (trunk + number * branch * alone) if number else 0.0


def passes_of_psd(
    training: TrainingOptions, partition: PartitionOptions, teachers: TeacherOptions
) -> float:
    """Training passes over the pictures that all teachers, their targets and the student cost.

    The baseline is counted where it teaches, and not where frozen teachers stand on its layers. A
    branch counts as much as it does on a ResNet-50, so that the figure is the same on any machine.
    """
    groups = _passes_of_groups(training, teachers, _num_groups(partition), _BRANCH)
    plain = partition.num_plain * (PLAIN in partition.strategies) * _taught(training, "teacher")
    baseline = (BASELINE in partition.strategies) * _taught(training, "baseline")
    return groups + plain + baseline + training.for_role("student").epochs


def _measure_data(
    pipeline: Pipeline, parameters: Parameters, catalog: CatalogProtocol[str, Any]
) -> _Data:
    """Sizes of the labels at hand, unless this run makes them anew."""
    options, scenes = parameters.data, parameters.scenes
    labels = catalog.get("labels")
    if "labels" not in pipeline.all_outputs() and labels is not None and labels.exists():
        matrix = labels.load()
        train, validation = (len(matrix.rows(split)) for split in ("train", "validation"))
        return _Data(len(matrix), train, validation, len(matrix.space))
    if options.source == "scenes":
        pictures = scenes.num_pictures
        num_labels = scenes.num_communities * scenes.labels_per_community
    else:
        pictures, num_labels = _count_raw(catalog.get("raw_pictures"))
    validation = round(pictures * options.validation_fraction)
    train = round(pictures * (1 - options.test_fraction)) - validation
    return _Data(pictures, train, validation, num_labels)


def _count_raw(dataset: Any) -> tuple[int, int]:
    """Pictures and labels; pictures that lie in the manifest itself are left alone."""
    labels = dataset.load_labels() if hasattr(dataset, "load_labels") else dataset.load().labels
    return len(labels), len(labels.space)


def _bytes(parameters: Parameters, data: _Data, roles: Counter[str], weights: int) -> float:
    pixels = data.pictures * parameters.data.side**2 * 3
    checkpoints = roles.total() * weights * 4 * _COPIES
    views = parameters.training.for_role("teacher").augmentation.views
    heard = sum(
        number if role == PLAIN else 1 for role, number in roles.items() if role not in _SINGLE
    )  # times that every label is: the teachers of a partition share the labels out
    heard += roles[BASELINE] * (BASELINE in parameters.partition.strategies)
    cell = 2 if parameters.teachers.targets == "float16" else 4
    logits = heard * views * data.train * data.labels * cell * 2  # the teachers' and the student's
    return pixels + checkpoints + logits

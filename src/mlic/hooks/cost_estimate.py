"""Estimate of what a run will take: trainings, minutes, megabytes."""

import logging
import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from mlic.config import cost
from mlic.config.cost import SINGLE_MODELS
from mlic.config.parameters import Parameters
from mlic.distillation.storage import stored_as
from mlic.distillation.teacher_id import strategy_of
from mlic.errors import ParameterError
from mlic.labels.options import BASELINE, FULL_LABEL

__all__ = ["count_trainings", "estimate_cost"]

logger = logging.getLogger(__name__)

_COPIES = 3  # of weights: the store of trainings, the catalog's entry, MLflow's artifact
# Raw and averaged weights are evaluated on the validation split after every epoch.
_EVALUATION_SHARE = 2 * cost.FORWARD_SHARE
# Bytes of stored images, in bytes of their pixels: at most, for photographs. The node that stores
# them says exactly what each kind of store takes; see `mlic.images.store_choice`.
_SHARES = {"pixels": 1.0, "auto": 1.0, "encoded": 0.5, "files": 0.0}


@dataclass(frozen=True)
class _DataSize:
    """Sizes of the data set, as far as they are known before it is read."""

    images: int
    train: int
    validation: int
    labels: int


def estimate_cost(
    pipeline: Pipeline, parameters: Parameters, catalog: CatalogProtocol[str, Any]
) -> str:
    """Describe what a run will train, for about how long, and how much it will write.

    The time is extrapolated from a few training steps that are timed on this machine, as if several
    devices divided it without loss.

    Raises
    ------
    DatasetDataError
        If the data set is contradictory: its labels are read here, before time is spent on it.
    ParameterError
        If there are too few labels for the parts, or a loss or the distiller refuses its options.
    """
    roles = _count_roles(pipeline)
    data = _measure_data(pipeline, parameters, catalog)
    if mistake := parameters.partition.too_many_parts(data.labels):
        raise ParameterError(mistake, parameter="partition.num_parts")
    seconds, weights, branch = _time_step(parameters, data.labels)
    passes = sum(
        n * cost.count_passes(parameters, role, branch) / _count_devices(parameters, role)
        for role, n in roles.items()
    )
    images = passes * (data.train + _EVALUATION_SHARE * data.validation)
    averaged = cost.count_averaged_images(parameters.averaging, data.train, data.validation)
    if "averaged_student.checkpoint" in pipeline.all_outputs():
        images += cost.FORWARD_SHARE * averaged
    minutes = images * seconds / 60
    megabytes = _count_bytes(parameters, data, roles, weights) / 1e6
    number = roles.total()
    return (
        f"{number} training{'s' if number > 1 else ''} ({_list_roles(roles)}), "
        f"about {max(round(minutes), 1)} minute{'s' if round(minutes) > 1 else ''}, "
        f"{megabytes:.0f} MB on disk"
    )


def count_trainings(pipeline: Pipeline) -> int:
    """Count the trainings of a pipeline; one node may run several."""
    return _count_roles(pipeline).total()


def _count_roles(pipeline: Pipeline) -> Counter[str]:
    """Count the trainings by role: baseline, student, or the strategy of a teacher."""
    outputs = [name for node in pipeline.nodes if "training" in node.tags for name in node.outputs]
    trained = [name for name in outputs if name.endswith(".checkpoint")]
    return Counter(strategy_of(name.removesuffix(".checkpoint")) for name in trained)


def _count_devices(parameters: Parameters, role: str) -> int:
    """Devices of one training; what is not called baseline or student is a teacher's strategy."""
    single = {"budget_matched_baseline": BASELINE, BASELINE: BASELINE, "student": "student"}
    return parameters.training.for_role(single.get(role, "teacher")).devices


def _list_roles(roles: Counter[str]) -> str:
    """List the trainings in the order in which they run."""
    teachers = [
        f"{number} {role} teacher{'s' if number > 1 else ''}"
        for role, number in roles.items()
        if role not in SINGLE_MODELS
    ]
    # All teachers are trained before the student, and after the baselines.
    singles = [role for role in SINGLE_MODELS if role in roles]
    before = [role for role in singles if role != "student"]
    return ", ".join(before + teachers + singles[len(before) :])


def _time_step(parameters: Parameters, num_labels: int) -> tuple[float, int, float]:
    """Measure the seconds for an image, the number of weights, and a branch's share of the time."""
    logger.info("Timing a few training steps to estimate the duration")
    from mlic.training.objective import check_plugins

    check_plugins(parameters.training, parameters.distillation)
    # In a separate thread: OpenMP's workers belong to the thread that started them, and processes
    # forked from the main thread would wait for workers that they do not have.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_measure_steps, parameters, num_labels).result()


def _measure_steps(parameters: Parameters, num_labels: int) -> tuple[float, int, float]:
    from mlic.models.options import BranchedModelOptions
    from mlic.training.step_timing import measure_step

    training, size, model = parameters.training, parameters.data.image_size, parameters.model
    seconds, weights = measure_step(model, training.for_role("baseline"), size, num_labels)
    number = cost.count_group_teachers(parameters.partition)
    if parameters.teachers.mode != "joint" or not number:
        return seconds, weights, cost.BRANCH_SHARE
    branched = BranchedModelOptions(**model.model_dump(), branch=parameters.teachers.branch)
    labels = max(num_labels // parameters.partition.num_parts, 1)
    joint, _ = measure_step(branched, training.for_role("teacher"), size, labels, number)
    return seconds, weights, (joint / seconds - 1) / number


def _measure_data(
    pipeline: Pipeline, parameters: Parameters, catalog: CatalogProtocol[str, Any]
) -> _DataSize:
    """Read the sizes off the stored labels, or off their source if this run prepares them again."""
    options, synthetic = parameters.data, parameters.synthetic
    labels = catalog.get("labels")
    if "labels" not in pipeline.all_outputs() and labels is not None and labels.exists():
        matrix = labels.load()
        train, validation = (len(matrix.rows(split)) for split in ("train", "validation"))
        return _DataSize(len(matrix), train, validation, len(matrix.space))
    if options.source == "synthetic":
        images = synthetic.num_images
        num_labels = synthetic.num_communities * synthetic.labels_per_community
    else:
        # The labels of a manifest can be read without decoding its images.
        raw: Any = catalog.get("raw_images")
        matrix = raw.load_labels() if hasattr(raw, "load_labels") else raw.load().labels
        images, num_labels = len(matrix), len(matrix.space)
    validation = round(images * options.validation_fraction)
    train = round(images * (1 - options.test_fraction)) - validation
    return _DataSize(images, train, validation, num_labels)


def _count_bytes(
    parameters: Parameters, data: _DataSize, roles: Counter[str], weights: int
) -> float:
    images = _SHARES[parameters.data.store] * data.images * parameters.data.side**2 * 3
    checkpoints = roles.total() * weights * 4 * _COPIES
    return images + checkpoints + _count_logit_bytes(parameters, data, roles)


def _count_logit_bytes(parameters: Parameters, data: _DataSize, roles: Counter[str]) -> int:
    """Bytes of the files of the teachers, and of the targets that are joined from them."""
    views = parameters.training.for_role("teacher").augmentation.views

    def count(num_labels: int) -> int:
        size = (views, data.train, num_labels)
        shape, dtype = stored_as(parameters.teachers.targets, size)
        return math.prod(shape) * dtype.itemsize

    strategies = [role for role in roles if role not in SINGLE_MODELS]
    files = 0
    for role in strategies:
        # The teachers of a partition divide the labels among them.
        parts = 1 if role == FULL_LABEL else roles[role]
        sizes = [data.labels // parts + (part < data.labels % parts) for part in range(parts)]
        files += sum(map(count, sizes)) * roles[role] // parts
    if roles[BASELINE] and BASELINE in parameters.partition.strategies:
        strategies.append(BASELINE)
        files += count(data.labels)
    return files + len(strategies) * count(data.labels)

"""What a run is about to do, in one line: trainings, minutes, megabytes."""

from __future__ import annotations

import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlic.config.cost import (
    BRANCH_SHARE,
    FORWARD_SHARE,
    SINGLE_MODELS,
    count_group_teachers,
    count_passes,
)
from mlic.distillation.teacher_id import strategy_of
from mlic.errors import ParameterError
from mlic.labels.options import BASELINE, FULL_LABEL

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

    from mlic.config.parameters import Parameters

__all__ = ["count_trainings", "plan_run"]

logger = logging.getLogger(__name__)

_COPIES = 3  # of weights: the training's store, the catalog's entry, MLflow's artifact
_JUDGED = 2 * FORWARD_SHARE  # raw and averaged weights see the validation split after every epoch


@dataclass(frozen=True)
class _Data:
    """Sizes of the data set, as far as they can be known before it is read."""

    images: int
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
    passes = sum(number * count_passes(parameters, role, branch) for role, number in roles.items())
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
    """Seconds of an image, weights, and a branch's share of them, measured in a thread of its own.

    OpenMP's workers belong to the thread that called them. Had the main thread done so, the
    processes that Kedro's ParallelRunner forks from it would wait for workers they do not have.
    """
    logger.info("Timing a few training steps, to say how long it will take")
    from mlic.training.step_timing import check_objectives

    check_objectives(parameters.training, parameters.distillation)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_measure, parameters, num_labels).result()


def _measure(parameters: Parameters, num_labels: int) -> tuple[float, int, float]:
    from mlic.models.options import BranchedModelOptions
    from mlic.training.step_timing import measure_step

    training, size, model = parameters.training, parameters.data.image_size, parameters.model
    seconds, weights = measure_step(model, training.for_role("baseline"), size, num_labels)
    number = count_group_teachers(parameters.partition)
    if parameters.teachers.mode != "joint" or not number:
        return seconds, weights, BRANCH_SHARE
    cut = BranchedModelOptions(**model.model_dump(), branch=parameters.teachers.branch)
    labels = max(num_labels // parameters.partition.num_parts, 1)
    joint, _ = measure_step(cut, training.for_role("teacher"), size, labels, number)
    return seconds, weights, (joint / seconds - 1) / number


def _role(name: str) -> str:
    """Baseline, student, or the strategy of a teacher."""
    return strategy_of(name)


def _spell(roles: Counter[str]) -> str:
    teachers = [
        f"{n} {role} teacher{'s' if n > 1 else ''}"
        for role, n in roles.items()
        if role not in SINGLE_MODELS
    ]
    singles = [role for role in SINGLE_MODELS if role in roles]
    before = [role for role in singles if role != "student"]
    return ", ".join(before + teachers + singles[len(before) :])


def _measure_data(
    pipeline: Pipeline, parameters: Parameters, catalog: CatalogProtocol[str, Any]
) -> _Data:
    """Sizes of the labels at hand, unless this run makes them anew."""
    options, scenes = parameters.data, parameters.synthetic
    labels = catalog.get("labels")
    if "labels" not in pipeline.all_outputs() and labels is not None and labels.exists():
        matrix = labels.load()
        train, validation = (len(matrix.rows(split)) for split in ("train", "validation"))
        return _Data(len(matrix), train, validation, len(matrix.space))
    if options.source == "synthetic":
        images = scenes.num_images
        num_labels = scenes.num_communities * scenes.labels_per_community
    else:
        images, num_labels = _count_raw(catalog.get("raw_images"))
    validation = round(images * options.validation_fraction)
    train = round(images * (1 - options.test_fraction)) - validation
    return _Data(images, train, validation, num_labels)


def _count_raw(dataset: Any) -> tuple[int, int]:
    """Images and labels; images that lie in the manifest itself are left alone."""
    labels = dataset.load_labels() if hasattr(dataset, "load_labels") else dataset.load().labels
    return len(labels), len(labels.space)


def _bytes(parameters: Parameters, data: _Data, roles: Counter[str], weights: int) -> float:
    pixels = data.images * parameters.data.side**2 * 3
    checkpoints = roles.total() * weights * 4 * _COPIES
    views = parameters.training.for_role("teacher").augmentation.views
    heard = sum(
        number if role == FULL_LABEL else 1
        for role, number in roles.items()
        if role not in SINGLE_MODELS
    )  # times that every label is: the teachers of a partition share the labels out
    heard += roles[BASELINE] * (BASELINE in parameters.partition.strategies)
    cell = 2 if parameters.teachers.targets == "float16" else 4
    logits = heard * views * data.train * data.labels * cell * 2  # the teachers' and the student's
    return pixels + checkpoints + logits

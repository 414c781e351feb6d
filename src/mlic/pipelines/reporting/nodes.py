"""Read the test split once, and write down what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlic.config.parameters import EvaluationOptions
from mlic.errors import CheckpointError
from mlic.labels.options import PartitionOptions
from mlic.training.options import TeacherOptions, TrainingOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from pandas import DataFrame

    from mlic.evaluation.predictions import Predictions
    from mlic.images.store import ImageStore
    from mlic.labels import LabelMatrix
    from mlic.labels.partition import Partition
    from mlic.training.checkpoint import Checkpoint
else:  # Kedro reads the annotations as it starts, and needs only those of parameters
    DataFrame = ImageStore = LabelMatrix = Partition = Checkpoint = Predictions = Any

__all__ = [
    "describe_trainings",
    "predict_learning_splits",
    "predict_test_split",
    "summarise_run",
    "tabulate_average_precision",
    "write_report",
]


def predict_test_split(
    images: ImageStore,
    labels: LabelMatrix,
    training: TrainingOptions,
    *models: Checkpoint | Predictions,
) -> Predictions:
    """Let every model look at the test images; predictions at hand are taken over.

    Raises
    ------
    CheckpointError
        If two models are of the same name, as two partitions by hand make them.
    DataError, LabelError
        If a test image is not in the store, predictions at hand are of other images, or a
        model's label is not in the class list.
    """
    return _predict(labels.in_split("test"), images, training, models)


def predict_learning_splits(
    images: ImageStore, labels: LabelMatrix, training: TrainingOptions, student: Checkpoint
) -> Predictions:
    """Let the student look at the training and validation images, to see if labels are right."""
    import numpy as np

    learning = labels.take(np.flatnonzero(np.isin(labels.split, ("train", "validation"))))
    return _predict(learning, images, training, [student])


def _predict(
    labels: LabelMatrix,
    images: ImageStore,
    training: TrainingOptions,
    models: Sequence[Checkpoint | Predictions],
) -> Predictions:
    from mlic.evaluation.predictions import Predictions
    from mlic.training.checkpoint import Checkpoint

    logits: dict[str, NDArray[np.float32]] = {}
    names: dict[str, tuple[str, ...]] = {}
    for model in models:
        said = _ask(model, labels, images, training) if isinstance(model, Checkpoint) else model
        said.require_images(labels.ids)
        if twice := logits.keys() & said.logits.keys():
            raise CheckpointError(
                f"two checkpoints are called '{min(twice)}': give the partitions different "
                "strategies"
            )
        logits |= said.logits
        names |= said.labels
    return Predictions(labels.ids, logits, names)


def _ask(
    checkpoint: Checkpoint, labels: LabelMatrix, images: ImageStore, training: TrainingOptions
) -> Predictions:
    from mlic.evaluation.predictions import Predictions
    from mlic.training.predict import predict_checkpoint

    name, own = checkpoint.info.name, checkpoint.info.labels
    labels.space.indices(own)
    logits = predict_checkpoint(checkpoint, images, images.rows(labels.ids), training)
    return Predictions(labels.ids, {name: logits}, {name: own})


def describe_trainings(*models: Checkpoint | dict[str, Any]) -> dict[str, Any]:
    """What each model was made from, and how every epoch went; descriptions at hand are kept.

    Returns
    -------
    dict
        By name, all that a checkpoint says of itself, and its ``fingerprint``.
    """
    told: dict[str, Any] = {}
    for model in models:
        if isinstance(model, dict):
            told |= model
        else:
            description = model.info.model_dump(mode="json")
            told[model.info.name] = {**description, "fingerprint": model.fingerprint}
    return told


def summarise_run(
    predictions: Predictions,
    labels: LabelMatrix,
    quarantine: DataFrame,
    trainings: dict[str, Any],
    evaluation: EvaluationOptions,
    training: TrainingOptions,
    partition: PartitionOptions,
    teachers: TeacherOptions,
    seed: int,
    pointing_game: dict[str, Any] | None = None,
    **partitions: Partition,
) -> dict[str, Any]:
    """The run in one document; figures in percent on the test split."""
    from mlic.report import summary

    by_strategy = {cut.strategy: cut for cut in partitions.values()}
    return {
        "data": summary.describe_data(labels, len(quarantine)),
        "partitions": {name: cut.to_dict() for name, cut in by_strategy.items()},
        **summary.score_models(predictions, labels.in_split("test"), evaluation.threshold),
        **({} if pointing_game is None else {"pointing_game": pointing_game}),
        "passes": summary.count_passes(training, partition, teachers),
        "seconds": summary.time_models(trainings, partition),
        "seed": seed,
        **summary.describe_origin(labels, by_strategy, trainings),
    }


def tabulate_average_precision(predictions: Predictions, labels: LabelMatrix) -> DataFrame:
    """Average precision of every label on the test split, in percent, a column a model."""
    import pandas as pd

    from mlic.evaluation.metrics import average_precision
    from mlic.report.summary import committees

    test = labels.in_split("test")
    columns = {
        model: 100 * average_precision(logits, test.states)
        for model, logits in committees(predictions, test).items()
    }
    positives = (test.states == 1).sum(axis=0)
    return pd.DataFrame({"label": labels.space.names, "positives": positives, **columns})


def write_report(
    summary: dict[str, Any],
    parameters: dict[str, Any],
    label_counts: DataFrame,
    average_precision: DataFrame,
    **found: Any,
) -> str:
    """The run as one page of HTML that needs nothing else.

    Parameters
    ----------
    summary, parameters, label_counts, average_precision
        Entries of these names; parameters may be typed models.
    **found
        The other entries of the report, by name: tables, documents, ``<name>_figure`` and
        ``survey_<strategy>``.

    Raises
    ------
    LabelError
        If the two tables are of different labels, as files of two runs are.
    """
    from pydantic_core import to_jsonable_python

    from mlic.labels import LabelSpace
    from mlic.report.sections import Findings, render_report

    counted, judged = (LabelSpace(tuple(t["label"])) for t in (label_counts, average_precision))
    counted.require_same(judged, "label_counts", "average_precision")
    figures = {k.removesuffix("_figure"): found.pop(k) for k in [*found] if k[-7:] == "_figure"}
    surveys = {k.removeprefix("survey_"): found.pop(k) for k in [*found] if k[:7] == "survey_"}
    tables: dict[str, Any] = {"label_counts": label_counts, "average_precision": average_precision}
    told = to_jsonable_python(parameters)
    return render_report(
        Findings(summary, told, figures=figures, surveys=surveys, **tables, **found)
    )

"""Read the test split once, and turn what the models say of it into figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlic.errors import CheckpointError
from mlic.images.store import PictureStore
from mlic.labels import LabelMatrix, LabelSpace
from mlic.labels.partition import Partition
from mlic.parameters import EvaluationOptions
from mlic.training.checkpoint import Checkpoint
from mlic.training.options import TrainingOptions
from mlic.training.predictions import Predictions

if TYPE_CHECKING:
    from pandas import DataFrame
else:  # Kedro reads the annotations as it starts, and needs only those of parameters
    DataFrame = Any

__all__ = ["predict_test_split", "summarise_run", "tabulate_average_precision", "write_report"]


def predict_test_split(
    pictures: PictureStore,
    labels: LabelMatrix,
    training: TrainingOptions,
    *checkpoints: Checkpoint,
) -> Predictions:
    """Let every model look at the test pictures.

    Raises
    ------
    CheckpointError
        If two checkpoints are of the same name, as two partitions by hand make them.
    DataError, LabelError
        If a test picture is not in the store, or a model's label not in the class list.
    """
    from mlic.training.predict import predict_checkpoint
    from mlic.training.predictions import Predictions

    ids = labels.in_split("test").ids
    rows = pictures.rows(ids)
    logits, names = {}, {}
    for checkpoint in checkpoints:
        name = checkpoint.info.name
        if name in names:
            raise CheckpointError(
                f"two checkpoints are called '{name}': give the partitions different strategies"
            )
        labels.space.indices(checkpoint.info.labels)
        logits[name] = predict_checkpoint(checkpoint, pictures, rows, training)
        names[name] = checkpoint.info.labels
    return Predictions(ids, logits, names)


def summarise_run(
    predictions: Predictions,
    labels: LabelMatrix,
    quarantine: DataFrame,
    evaluation: EvaluationOptions,
    seed: int,
    pointing_game: dict[str, Any] | None = None,
    **artefacts: Partition | Checkpoint,
) -> dict[str, Any]:
    """The run in one document; figures in percent on the test split."""
    from mlic import __version__
    from mlic.labels.partition import Partition
    from mlic.pipelines.reporting.summary import describe_data, score_models, time_models
    from mlic.provenance import git_commit

    partitions = {p.strategy: p for p in artefacts.values() if isinstance(p, Partition)}
    checkpoints = [c for c in artefacts.values() if not isinstance(c, Partition)]
    test = labels.in_split("test")
    return {
        "data": describe_data(labels, len(quarantine)),
        "partitions": {name: partition.to_dict() for name, partition in partitions.items()},
        **score_models(predictions, test, evaluation.threshold),
        **({} if pointing_game is None else {"pointing_game": pointing_game}),
        "seconds": time_models(checkpoints),
        "seed": seed,
        "git": git_commit(),
        "version": __version__,
    }


def tabulate_average_precision(predictions: Predictions, labels: LabelMatrix) -> DataFrame:
    """Average precision of every label on the test split, in percent, a column a model."""
    import pandas as pd

    from mlic.metrics import average_precision
    from mlic.pipelines.reporting.summary import committees

    test = labels.in_split("test")
    columns = {
        model: 100 * average_precision(logits, test.states)
        for model, logits in committees(predictions, test).items()
    }
    positives = (test.states == 1).sum(axis=0)

    return pd.DataFrame({"label": labels.space.names, "positives": positives, **columns})


def write_report(
    summary: dict[str, Any],
    label_counts: DataFrame,
    average_precision: DataFrame,
    class_maps: str = "",
    suggested_parts: dict[str, Any] | None = None,
    **surveys: DataFrame,
) -> str:
    """The run as one page of HTML that needs nothing else; surveys are named by their strategy.

    Raises
    ------
    LabelError
        If the two tables are of different labels, as files of two runs are.
    """
    from mlic.pipelines.reporting.html import render_report

    counted, judged = (LabelSpace(tuple(t["label"])) for t in (label_counts, average_precision))
    counted.require_same(judged, "label_counts", "average_precision")
    return render_report(
        summary, label_counts, average_precision, class_maps, surveys, suggested_parts
    )

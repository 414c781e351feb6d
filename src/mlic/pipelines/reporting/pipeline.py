"""Wiring of the report."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from mlic.pipelines.reporting.nodes import (
    predict_test_split,
    summarise_run,
    tabulate_average_precision,
    write_report,
)
from mlic.pipelines.teacher_training.pipeline import teacher_names

__all__ = ["create_pipeline"]


def create_pipeline(strategies: Sequence[str] = ("cgp", "dgp"), num_parts: int = 3) -> Pipeline:
    """*.checkpoint → test_predictions → summary, average_precision, report."""
    models = [f"teachers.{name}" for name in teacher_names(strategies, num_parts)]
    checkpoints = [f"{model}.checkpoint" for model in ("baseline", *models, "student")]
    return Pipeline(
        [
            Node(
                predict_test_split,
                inputs=["pictures", "labels", "params:training", *checkpoints],
                outputs="test_predictions",
                name="predict_test_split",
            ),
            Node(
                summarise_run,
                inputs={
                    "predictions": "test_predictions",
                    "labels": "labels",
                    "quarantine": "quarantine",
                    "evaluation": "params:evaluation",
                    "seed": "params:seed",
                    **{f"partition_{name}": f"partition_{name}" for name in strategies},
                    **{name.replace(".", "_"): name for name in checkpoints},
                },
                outputs="summary",
                name="summarise_run",
            ),
            Node(
                tabulate_average_precision,
                inputs=["test_predictions", "labels"],
                outputs="average_precision",
                name="tabulate_average_precision",
            ),
            Node(
                write_report,
                inputs=["summary", "label_counts", "average_precision"],
                outputs="report",
                name="write_report",
            ),
        ]
    )

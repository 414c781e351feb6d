"""Wiring of the baseline, and of the baseline with the whole budget of distillation.

::

    images, labels ──► baseline.checkpoint ──► baseline.logits, if the baseline is a teacher
                  └──► budget_matched_baseline.checkpoint, if it is asked for
"""

from kedro.pipeline import Node, Pipeline

from mlic.config.shape import RunShape
from mlic.pipelines.baseline_training.nodes import (
    predict_teacher_logits,
    train_baseline,
    train_budget_matched_baseline,
)

__all__ = ["create_pipeline"]


def create_pipeline(shape: RunShape) -> Pipeline:
    """Connect the trainings without teachers."""
    inputs = {**shape.training_inputs, "store": "store"}
    teachers = {"teachers": "params:teachers"}
    checkpoint = "baseline.checkpoint"
    # Hooks find the trainings of a run by this tag, to estimate the cost and to open MLflow runs.
    nodes = [Node(train_baseline, inputs, checkpoint, name="train", tags="training")]
    if shape.baseline_teaches:
        nodes.append(
            Node(
                predict_teacher_logits,
                inputs={**inputs, **teachers, "checkpoint": checkpoint},
                outputs="baseline.logits",
                name="predict_teacher_logits",
            )
        )
    # The entries have their full names already, such as "baseline.checkpoint".
    pipeline = Pipeline(nodes, namespace="baseline", prefix_datasets_with_namespace=False)
    if not shape.budget_matched_baseline:
        return pipeline
    control = Node(
        train_budget_matched_baseline,
        inputs={**inputs, **teachers, "partition": "params:partition"},
        outputs="budget_matched_baseline.checkpoint",
        name="train",
        tags="training",
        namespace="budget_matched_baseline",
    )
    return pipeline + Pipeline([control])

"""Wiring of the baseline."""

from kedro.pipeline import Node, Pipeline

from mlic.pipelines.baseline_training.nodes import train_baseline

__all__ = ["create_pipeline"]


def create_pipeline() -> Pipeline:
    """pictures, labels → baseline.checkpoint."""
    train = Node(
        train_baseline,
        inputs={
            "pictures": "pictures",
            "labels": "labels",
            "data": "params:data",
            "model": "params:model",
            "training": "params:training",
            "seed": "params:seed",
            "store": "store",
        },
        outputs="checkpoint",
        name="train",
        tags="training",
    )
    return Pipeline(
        [train],
        namespace="baseline",
        inputs={"pictures", "labels"},
        parameters={"params:data", "params:model", "params:training", "params:seed"},
    )

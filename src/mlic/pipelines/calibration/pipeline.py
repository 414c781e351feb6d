"""Wiring of the calibration.

::

    baseline.checkpoint ──► baseline.model
    student.checkpoint ──► student.model

The teachers need none: they give their logits to the student only.
"""

from kedro.pipeline import Node, Pipeline

from mlic.config.shape import RunShape
from mlic.pipelines.calibration.nodes import calibrate_model

__all__ = ["create_pipeline"]


def create_pipeline(shape: RunShape) -> Pipeline:
    """Calibrate every model of all labels that is used after its training."""
    return Pipeline([_calibrate(model) for model in shape.single_models])


def _calibrate(model: str) -> Node:
    return Node(
        calibrate_model,
        inputs={
            "checkpoint": f"{model}.checkpoint",
            "images": "images",
            "labels": "labels",
            "training": "params:training",
            "calibration": "params:calibration",
        },
        outputs=f"{model}.model",
        name=f"calibrate_{model}",
    )

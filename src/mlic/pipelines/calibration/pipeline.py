"""Wiring of the calibration.

::

    baseline.checkpoint ──► baseline.model
    student.checkpoint, or averaged_student.checkpoint ──► student.model

The teachers need none: they give their logits to the student only.
"""

from kedro.pipeline import Node, Pipeline

from mlic.config.shape import RunShape
from mlic.pipelines.calibration.nodes import calibrate_model

__all__ = ["create_pipeline"]


def create_pipeline(shape: RunShape) -> Pipeline:
    """Calibrate every model of all labels that is used after its training."""
    special = {"student": shape.student_checkpoint}
    models = shape.single_models
    return Pipeline([_calibrate(name, special.get(name, f"{name}.checkpoint")) for name in models])


def _calibrate(model: str, checkpoint: str) -> Node:
    return Node(
        calibrate_model,
        inputs={
            "checkpoint": checkpoint,
            "images": "images",
            "labels": "labels",
            "training": "params:training",
            "calibration": "params:calibration",
        },
        outputs=f"{model}.model",
        name=f"calibrate_{model}",
    )

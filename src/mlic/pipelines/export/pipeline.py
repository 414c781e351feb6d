"""Wiring of the export.

::

    student.model ──► student.onnx, student.timm
               └──► student.card ◄── summary, label_counts
"""

from kedro.pipeline import Node, Pipeline

from mlic.config.shape import RunShape
from mlic.pipelines.export.nodes import export_to_onnx, export_to_timm, write_card

__all__ = ["create_pipeline"]

MODEL = "student.model"


def create_pipeline(shape: RunShape) -> Pipeline:
    """Connect the student to its exported forms; timm's needs timm's own classifier."""
    nodes = [
        Node(export_to_onnx, [MODEL, "images", "labels"], "student.onnx", name="export_to_onnx"),
        Node(write_card, [MODEL, "summary", "label_counts"], "student.card", name="write_card"),
    ]
    if shape.head == "linear":
        nodes.append(Node(export_to_timm, MODEL, "student.timm", name="export_to_timm"))
    return Pipeline(nodes)

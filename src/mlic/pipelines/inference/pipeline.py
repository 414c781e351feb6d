"""Wiring of the prediction of new images.

::

    new_images (or an entry of the catalog), student.model (or another) ──► prediction_summary
    known_labels, if some are given ──► prediction_summary
    prediction_summary ──► predictions_page

The tables of the predictions lie in ``predictions_folder``, because they may be larger than memory.
"""

from kedro.pipeline import Node, Pipeline

from mlic.config.shape import RunShape
from mlic.pipelines.inference.nodes import predict_images, write_prediction_page

__all__ = ["create_pipeline"]


def create_pipeline(shape: RunShape) -> Pipeline:
    """Connect images and model to their predictions."""
    predict = Node(
        predict_images,
        inputs={
            "images": shape.inference_images,
            "checkpoint": shape.inference_model,
            **({"known": "known_labels"} if shape.inference_known else {}),
            "predictions_folder": "predictions_folder",
            "training": "params:training",
        },
        outputs="prediction_summary",
        name="predict_images",
    )
    write = Node(
        write_prediction_page,
        "prediction_summary",
        "predictions_page",
        name="write_prediction_page",
    )
    return Pipeline([predict, write])

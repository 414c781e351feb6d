"""Predict new images, and show the most doubtful predictions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlic.training.options import TrainingOptions

if TYPE_CHECKING:
    from mlic.images.records import ImageRecords
    from mlic.inference.known import KnownTable
    from mlic.inference.listing import ImageList
    from mlic.training.checkpoint import Checkpoint

__all__ = ["predict_images", "write_prediction_page"]


def predict_images(
    images: ImageList | ImageRecords,
    checkpoint: Checkpoint,
    predictions_folder: Path,
    training: TrainingOptions,
    known: KnownTable | None = None,
) -> dict[str, Any]:
    """Predict images into tables of the folder, and summarise them for the page."""
    import torch

    from mlic.images.records import ImageRecords
    from mlic.inference.listing import list_images
    from mlic.inference.model import TrainedModel
    from mlic.inference.prediction import predict_to_files

    listed = list_images(images) if isinstance(images, ImageRecords) else images
    torch.set_num_threads(training.threads)
    return predict_to_files(TrainedModel(checkpoint), listed, predictions_folder, known=known)


def write_prediction_page(prediction_summary: dict[str, Any]) -> str:
    """Write a page of images with their predictions, the most doubtful ones first."""
    from mlic.report.prediction_page import render_predictions

    return render_predictions(prediction_summary)

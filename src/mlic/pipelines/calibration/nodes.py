"""Calibrate a model on the validation images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlic.inference.options import CalibrationOptions
from mlic.training.options import TrainingOptions

if TYPE_CHECKING:
    from mlic.images.store import ImageStore
    from mlic.labels import LabelMatrix
    from mlic.training.checkpoint import Checkpoint

__all__ = ["calibrate_model"]


def calibrate_model(
    checkpoint: Checkpoint,
    images: ImageStore,
    labels: LabelMatrix,
    training: TrainingOptions,
    calibration: CalibrationOptions,
) -> Checkpoint:
    """Add calibrated probabilities and thresholds to a trained model."""
    from mlic.inference.calibrate import calibrate_checkpoint

    return calibrate_checkpoint(checkpoint, images, labels, training, calibration)

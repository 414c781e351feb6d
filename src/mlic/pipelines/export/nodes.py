"""Export a trained model: to ONNX, to a folder for timm, and as a model card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

    from mlic.images.store import ImageStore
    from mlic.inference.timm_folder import TimmFolder
    from mlic.labels import LabelMatrix
    from mlic.training.checkpoint import Checkpoint

__all__ = ["export_to_onnx", "export_to_timm", "write_card"]

COMPARED = 16  # images with which the exported model is compared with torch


def export_to_onnx(model: Checkpoint, images: ImageStore, labels: LabelMatrix) -> bytes:
    """Export a model to ONNX, after it gave the same probabilities for some test images."""
    from mlic.inference.model import TrainedModel
    from mlic.inference.onnx_file import export_onnx

    rows = images.rows(labels.in_split("test").ids[:COMPARED])
    pixels = images.read(rows if len(rows) else [0])
    return export_onnx(TrainedModel(model, device="cpu"), pixels)


def export_to_timm(model: Checkpoint) -> TimmFolder:
    """Export a model as a folder that timm loads."""
    from mlic.inference.timm_folder import export_timm

    return export_timm(model)


def write_card(model: Checkpoint, summary: dict[str, Any], label_counts: DataFrame) -> str:
    """Write the model card from the figures of the run."""
    from mlic.report.model_card import write_model_card

    return write_model_card(model, summary, label_counts)

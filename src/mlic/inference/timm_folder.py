"""Export as a folder that timm loads without mlic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlic.errors import CheckpointError
from mlic.utils.reading import one_line

if TYPE_CHECKING:
    from mlic.training.checkpoint import Checkpoint

__all__ = ["TimmFolder", "export_timm"]


@dataclass(frozen=True)
class TimmFolder:
    """Content of the folder.

    Parameters
    ----------
    weights
        Content of ``model.safetensors``.
    config
        Content of ``config.json``.
    """

    weights: dict[str, NDArray[Any]]
    config: dict[str, Any]


def export_timm(checkpoint: Checkpoint) -> TimmFolder:
    """Rename the weights as timm has them, and describe the model as timm's hub does.

    ``timm.create_model("local-dir:<folder>", pretrained=True)`` then gives the logits of mlic.

    Parameters
    ----------
    checkpoint
        A model with the head ``linear``, which is timm's own classifier.

    Raises
    ------
    CheckpointError
        If the head is another one, which timm does not have, or timm's model has other layers.
    """
    # imported here, because Kedro's dataset of such folders is loaded without torch
    from mlic.models.backbone import build_backbone

    info = checkpoint.info
    if info.model.head != "linear":
        raise CheckpointError(
            f"timm has no head '{info.model.head}': export {info.name} to ONNX, or load it with "
            "mlic.load_model",
            name=info.name,
            found=info.model.head,
        )
    backbone = build_backbone(info.model, load_weights=False)
    # timm's models have different names for the classifier that was left out of the backbone
    renamed = {"backbone.": "", "head.linear.": f"{backbone.pretrained_cfg['classifier']}."}
    weights = {
        new + name.removeprefix(old): np.asarray(value)
        for name, value in checkpoint.weights.items()
        for old, new in renamed.items()
        if name.startswith(old)
    }
    _require_fit(checkpoint, weights)
    return TimmFolder(weights, _describe(checkpoint))


def _require_fit(checkpoint: Checkpoint, weights: dict[str, NDArray[Any]]) -> None:
    """Load the weights into timm's model, so that a folder that timm refuses is not written."""
    import timm
    import torch

    info = checkpoint.info
    model = timm.create_model(
        info.model.backbone, num_classes=len(info.labels), **info.model.backbone_options
    )
    try:
        model.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    except RuntimeError as error:
        raise CheckpointError(
            f"timm's own {info.model.backbone} has other layers than {info.name} "
            f"({one_line(error)}): export it to ONNX, or load it with mlic.load_model",
            name=info.name,
        ) from error


def _describe(checkpoint: Checkpoint) -> dict[str, Any]:
    info, size = checkpoint.info, checkpoint.info.image_size
    return {
        "architecture": info.model.backbone,
        "num_classes": len(info.labels),
        "model_args": info.model.backbone_options,
        "label_names": list(info.labels),
        "thresholds": list(checkpoint.calibration.thresholds),
        "pretrained_cfg": {
            "input_size": [3, size, size],
            "fixed_input_size": False,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "squash",  # the aspect ratio is not kept
            "mean": list(info.mean),
            "std": list(info.std),
            "num_classes": len(info.labels),
            "license": "",
        },
    }

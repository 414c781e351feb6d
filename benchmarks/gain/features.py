"""What a frozen MobileNetV2 makes of stored views, computed once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from gain.corel import CACHE
from mlic.images.augmentation import ViewSampler
from mlic.images.options import AugmentationOptions
from mlic.images.preprocess import preprocess_views, preprocess_whole
from mlic.models.backbone import build_backbone, normalisation
from mlic.models.options import ModelOptions

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from mlic.images.store import ImageStore
    from mlic.labels import LabelMatrix

__all__ = ["IMAGE_SIZE", "VIEWS", "frozen_features", "mobilenet"]

IMAGE_SIZE, STORE_SIZE = 96, 128
VIEWS = 8
VIEW_SEED = 0  # one set of stored views for all seeds
BATCH = 100

log = logging.getLogger(__name__)


def mobilenet(weights: Path) -> ModelOptions:
    """MobileNetV2-0.35 as Keras publishes its ImageNet weights."""
    options = {"pad_type": "same"}
    return ModelOptions(backbone="mobilenetv2_035", backbone_options=options, weights=str(weights))


def frozen_features(
    images: ImageStore, labels: LabelMatrix, weights: Path
) -> dict[str, torch.Tensor]:
    """Pooled features, standardised by the mean and deviation of the training views.

    Returns
    -------
    dict of torch.Tensor
        ``train``, shape (views, n, D), of crops and flips; ``validation`` and ``test``, shape
        (m, D), of the whole images; float32.
    """
    key = f"{images.fingerprint}-{labels.fingerprint}-{VIEWS}x{IMAGE_SIZE}"
    file = CACHE / f"features-{key}.safetensors"
    if not file.is_file():
        log.info("Features of %d views are written to %s.", VIEWS, file)
        partial = file.with_suffix(".partial")
        save_file(_extract(images, labels, weights), partial)
        partial.replace(file)
    return load_file(file)


def _extract(images: ImageStore, labels: LabelMatrix, weights: Path) -> dict[str, torch.Tensor]:
    backbone = build_backbone(mobilenet(weights)).eval().to(memory_format=torch.channels_last)
    maker = ViewSampler(images.ids.tolist(), AugmentationOptions(views=VIEWS), VIEW_SEED)
    rows = {split: labels.rows(split) for split in ("train", "validation", "test")}

    def pooled(rows: NDArray[np.intp], view: int | None) -> torch.Tensor:
        frame = (IMAGE_SIZE, *normalisation(backbone))
        found = []
        for start in range(0, len(rows), BATCH):
            own = rows[start : start + BATCH]
            pixels = torch.from_numpy(images.pixels[own])
            boxes = None if view is None else torch.from_numpy(maker.boxes(own, view))
            inputs = (
                preprocess_whole(pixels, *frame)
                if boxes is None
                else preprocess_views(pixels, boxes, *frame)
            )
            with torch.inference_mode():
                found.append(backbone(inputs))
        return torch.cat(found)

    views = tqdm(range(VIEWS), "frozen features", unit="view", disable=None)
    train = torch.stack([pooled(rows["train"], view) for view in views])
    mean, deviation = train.mean((0, 1)), train.std((0, 1)).clamp(min=1e-3)
    whole = {split: pooled(rows[split], None) for split in ("validation", "test")}
    return {name: (x - mean) / deviation for name, x in {"train": train, **whole}.items()}

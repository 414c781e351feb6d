"""UC Merced with few images a class, drawn anew for every seed; the official test split."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mlic.datasets import ManifestDataset

if TYPE_CHECKING:
    from pathlib import Path

    from mlic.images.records import ImageRecords
    from mlic.labels import LabelMatrix

__all__ = ["few_of_each", "load_merced"]

HELD = 5  # images a class to choose epochs by, whatever the number to train


def load_merced(folder: Path) -> ImageRecords:
    """All images, labels and the official test split."""
    files = [str(folder / f"ucm17_{split}_160.parquet") for split in ("train", "test")]
    return ManifestDataset(files[0], test_filepath=files[1]).load()


def few_of_each(labels: LabelMatrix, number: int, seed: int) -> LabelMatrix:
    """So many images of every class to train and five to validate; the test split stays.

    An image's class is its id without the digits. Labels that no training image has are left
    out.
    """
    rng, split = np.random.default_rng(seed), np.where(labels.split == "test", "test", "")
    split = split.astype("<U10")
    classes = np.array([name.rstrip("0123456789") for name in labels.ids])
    for name in np.unique(classes):
        own = rng.permutation(np.flatnonzero((classes == name) & (split == "")))
        split[own[:number]] = "train"
        split[own[number : number + HELD]] = "validation"
    seen = (labels.states[split == "train"] == 1).any(axis=0)
    return replace(labels, split=split).with_labels(np.flatnonzero(seen).tolist())

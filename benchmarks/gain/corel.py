"""Corel5k with a test split of our own, the same for every seed and study."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlic.datasets import ManifestDataset
from mlic.images.ingest import write_store
from mlic.labels.split import stratified_split
from mlic.labels.statistics import LabelStatistics, count_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlic.images.records import ImageRecords
    from mlic.images.store import ImageStore
    from mlic.labels import LabelMatrix

__all__ = ["CACHE", "Words", "corel_split", "decode", "load_corel"]

CACHE = Path(tempfile.gettempdir()) / "mlic_psd_gain"
SPLIT_SEED = 4500  # constant: no seed of a study touches the split
FRACTIONS = {"train": 6 / 9, "validation": 1 / 9, "test": 2 / 9}  # of 4,500: 3,000, 500, 1,000
FEWEST = 3  # training images of a word that is learnt, and positives of one that is judged
FREQUENT = 20  # training images of a word of the headline
COMPANION = 0.2  # a word goes with another where it stands beside it in so many of its images


def load_corel(folder: Path) -> ImageRecords:
    """Encoded images and labels of ``corel5k_train.parquet``, split and without rare words."""
    raw = ManifestDataset(str(folder / "corel5k_train.parquet")).load()
    return replace(raw, labels=corel_split(raw.labels))


def corel_split(labels: LabelMatrix) -> LabelMatrix:
    """Split the images by a constant seed and keep the words with enough training images.

    About 3,000 images to train, 500 to choose by and 1,000 to test, stratified by words.
    """
    split = stratified_split(labels.states, FRACTIONS, SPLIT_SEED)
    counts = (labels.states[split == "train"] == 1).sum(axis=0)
    return labels.with_split(split).with_labels(np.flatnonzero(counts >= FEWEST).tolist())


def decode(raw: ImageRecords, name: str, size: int) -> ImageStore:
    """The images as squares of one size, decoded once into the system's temporary folder."""
    return write_store(CACHE / f"{name}_{size}", raw, size)[0]


@dataclass(frozen=True)
class Words:
    """Which words a column of the tables is about; all from training labels alone.

    ``least``: training images of a word of the headline.
    """

    labels: LabelMatrix
    least: int = FREQUENT

    @cached_property
    def statistics(self) -> LabelStatistics:
        """Counts in the training images."""
        return count_labels(self.labels.in_split("train").states, self.labels.space)

    @cached_property
    def frequent(self) -> NDArray[np.bool_]:
        """Words of the headline; shape (C,)."""
        return (self.labels.in_split("train").states == 1).sum(axis=0) >= self.least

    @cached_property
    def companions(self) -> NDArray[np.bool_]:
        """Whether word m usually stands beside word l: P(m | l) ≥ 0.2; shape (C, C), [l, m]."""
        present = (self.labels.in_split("train").states == 1).astype(np.float64)
        share = present.T @ present / present.sum(axis=0)[:, None]
        np.fill_diagonal(share, 0)
        return share >= COMPANION

    def out_of_context(self, split: str) -> NDArray[np.int8]:
        """States of the cells in which company misleads, −1 elsewhere; shape (n, C).

        Present without any of the word's companions, or absent though one is there.
        """
        states = self.labels.in_split(split).states
        accompanied = (states == 1).astype(np.int64) @ self.companions.T.astype(np.int64) > 0
        return np.where((states == 1) != accompanied, states, -1).astype(np.int8)

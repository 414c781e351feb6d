"""Corel5k and UC Merced as the studies use them: splits, partitions and scores."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlic.datasets import ManifestDataset
from mlic.evaluation.metrics import average_precision, threshold_metrics
from mlic.images.records import ImageRecords
from mlic.labels import LabelMatrix
from mlic.labels.options import EXPONENTS
from mlic.labels.partition import Partition
from mlic.labels.partition.partitioning import partition_labels, random_partition
from mlic.labels.split import stratified_split
from mlic.labels.statistics import LabelStatistics, count_labels
from mlic.utils.seeds import derive_seed

CACHE = Path(tempfile.gettempdir()) / "mlic_psd_gain"
SPLIT_SEED = 4500  # constant: the split of Corel5k is the same for every seed of a study
FRACTIONS = {"train": 6 / 9, "validation": 1 / 9, "test": 2 / 9}  # 3,000, 500, 1,000 of 4,500
FEWEST = 3  # training images of a label that is learned, and positives of one that is scored
THRESHOLD = 0.5  # of a probability, for F1
FREQUENT = 20  # training images of a label that counts in the headline
USUAL = 0.2  # label m usually co-occurs with label l where P(m | l) is at least this
VALIDATION = 5  # validation images per class of UC Merced, whatever the number to train on
SIZES_OF = {"random": "cgp", "random_2": "dgp"}  # random groups have the sizes of these


def read_corel(folder: Path) -> ImageRecords:
    """Encoded images and all labels of ``corel5k_train.parquet``."""
    return ManifestDataset(str(folder / "corel5k_train.parquet")).load()


def load_corel(folder: Path) -> ImageRecords:
    """Encoded images and labels of ``corel5k_train.parquet``, split and without rare labels.

    About 3,000 images to train on, 500 to choose by and 1,000 to test on, stratified by labels.
    """
    raw = read_corel(folder)
    split = stratified_split(raw.labels.states, FRACTIONS, SPLIT_SEED)
    counts = (raw.labels.states[split == "train"] == 1).sum(axis=0)
    frequent = np.flatnonzero(counts >= FEWEST).tolist()
    return replace(raw, labels=raw.labels.with_split(split).with_labels(frequent))


def load_merced(folder: Path) -> ImageRecords:
    """All images, labels and the official test split of UC Merced."""
    files = [str(folder / f"ucm17_{split}_160.parquet") for split in ("train", "test")]
    return ManifestDataset(files[0], test_filepath=files[1]).load()


def few_per_class(labels: LabelMatrix, number: int, seed: int) -> LabelMatrix:
    """Split off `number` images per class to train on and five to validate on.

    The test split stays as it is. The class of an image is its id without the digits. Labels that
    no training image has are left out.
    """
    rng, split = np.random.default_rng(seed), np.where(labels.split == "test", "test", "")
    split = split.astype("<U10")  # room for "validation"
    classes = np.array([name.rstrip("0123456789") for name in labels.ids])
    for name in np.unique(classes):
        own = rng.permutation(np.flatnonzero((classes == name) & (split == "")))
        split[own[:number]] = "train"
        split[own[number : number + VALIDATION]] = "validation"
    seen = (labels.states[split == "train"] == 1).any(axis=0)
    return replace(labels, split=split).with_labels(np.flatnonzero(seen).tolist())


@dataclass(frozen=True)
class StudyData:
    """Labels of a study, and which of them each column of the tables is about."""

    labels: LabelMatrix
    frequent_from: int = FREQUENT  # training images of a label that counts in the headline

    @cached_property
    def statistics(self) -> LabelStatistics:
        """Counts over the training images."""
        return count_labels(self.labels.in_split("train").states, self.labels.space)

    @cached_property
    def frequent(self) -> NDArray[np.bool_]:
        """Labels of the headline; shape (C,)."""
        return (self.labels.in_split("train").states == 1).sum(axis=0) >= self.frequent_from

    @cached_property
    def usual(self) -> NDArray[np.bool_]:
        """Whether label m usually co-occurs with label l, P(m | l) ≥ 0.2; shape (C, C), [l, m]."""
        present = (self.labels.in_split("train").states == 1).astype(np.float64)
        share = present.T @ present / present.sum(axis=0)[:, None]
        np.fill_diagonal(share, 0)
        return share >= USUAL

    def out_of_context(self, split: str) -> NDArray[np.int8]:
        """States of the cells in which co-occurrence misleads, −1 elsewhere; shape (n, C).

        The label is present without any of its usual neighbours, or absent although one of them
        is present.
        """
        states = self.labels.in_split(split).states
        expected = (states == 1).astype(np.int64) @ self.usual.T.astype(np.int64) > 0
        return np.where((states == 1) != expected, states, -1).astype(np.int8)

    def partition(self, strategy: str, parts: int, seed: int) -> Partition:
        """Label groups of one seed; random groups have the sizes of CGP's or DGP's.

        With many rare labels the least normalised cut splits off a handful of them and leaves
        the rest in one part (289 and 3 of 292 labels at K = 2). A part of ``cgp`` therefore holds
        at least half of its fair share.
        """
        space = self.labels.space
        if strategy in SIZES_OF:
            sizes = [len(p) for p in self.partition(SIZES_OF[strategy], parts, seed).parts]
            return random_partition(space, sizes, derive_seed(seed, strategy))
        exponent: float = EXPONENTS[strategy]  # type: ignore[index]
        stream = derive_seed(seed, f"partition_{strategy}")
        least = len(space) // (2 * parts)
        return partition_labels(self.statistics, strategy, parts, exponent, stream, min_size=least)


def score(
    logits: NDArray[np.floating], data: StudyData, split: str, fewest: int = FEWEST
) -> dict[str, float]:
    """Metrics in percent of logits of the images of a split, shape (n, C).

    ``mAP``, ``CF1`` and ``OF1`` are over the frequent labels, ``mAP_rare`` over the others and
    ``mAP_all`` over both; ``out_of_context_mAP`` is over the frequent labels and the cells that
    `StudyData.out_of_context` names. A label needs `fewest` positives in order to be scored; a
    column without any such label is left out.
    """
    states, context = data.labels.in_split(split).states, data.out_of_context(split)
    precision, alone = average_precision(logits, states), average_precision(logits, context)
    scored, found = ((cells == 1).sum(axis=0) >= fewest for cells in (states, context))
    frequent = scored & data.frequent
    odds = np.exp(-logits[:, frequent].astype(np.float64))
    metrics = threshold_metrics(1 / (1 + odds), states[:, frequent], THRESHOLD)
    values = {
        "mAP": precision[frequent],
        "mAP_all": precision[scored],
        "mAP_rare": precision[scored & ~data.frequent],
        # of a label without an absent cell every ranking is perfect
        "out_of_context_mAP": alone[found & data.frequent & ~np.isnan(alone)],
        "CF1": metrics["CF1"],
        "OF1": metrics["OF1"],
    }
    return {n: round(100 * float(np.mean(v)), 3) for n, v in values.items() if np.size(v)}

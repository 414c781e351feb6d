"""Nodes of the label statistics, which are counted on the training images only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlic.models.options import ModelOptions

if TYPE_CHECKING:
    from pandas import DataFrame

    from mlic.labels import LabelMatrix
    from mlic.labels.embeddings import LabelEmbeddings
    from mlic.labels.statistics import LabelStatistics

__all__ = ["count_training_labels", "embed_training_labels", "tabulate_labels"]


def count_training_labels(labels: LabelMatrix) -> LabelStatistics:
    """Count labels and pairs of labels in the training split."""
    from mlic.labels.statistics import count_blocks

    # Selection and graphs must never see the test split.
    train = (states[split == "train"] for states, split in labels.blocks())
    return count_blocks(train, labels.space)


def embed_training_labels(statistics: LabelStatistics, model: ModelOptions) -> LabelEmbeddings:
    """Make the initial label embeddings for heads that use them."""
    from mlic.labels.embeddings import embed_labels

    return embed_labels(statistics, model.embeddings)


def tabulate_labels(labels: LabelMatrix) -> DataFrame:
    """Count the images with each label by split, and the images where its state is unknown."""
    import numpy as np
    import pandas as pd

    from mlic.labels import PRESENT, SPLITS, UNKNOWN

    # Unknown states count as neither present nor absent: readers must see how many there are.
    counts = {name: np.zeros(len(labels.space), np.int64) for name in (*SPLITS, "unknown")}
    for states, split in labels.blocks():
        for name in SPLITS:
            counts[name] += (states[split == name] == PRESENT).sum(axis=0)
        counts["unknown"] += (states == UNKNOWN).sum(axis=0)
    return pd.DataFrame({"label": labels.space.names, **counts})

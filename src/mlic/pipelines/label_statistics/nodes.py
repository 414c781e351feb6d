"""Count labels of the training pictures; no other split is read."""

from __future__ import annotations

import pandas as pd

from mlic.labels import LabelMatrix
from mlic.labels.statistics import LabelStatistics

__all__ = ["count_training_labels", "tabulate_labels"]


def count_training_labels(labels: LabelMatrix) -> LabelStatistics:
    """Count labels and pairs of labels in the training split."""
    from mlic.labels.statistics import count_labels

    train = labels.in_split("train")
    return count_labels(train.states, train.space)


def tabulate_labels(labels: LabelMatrix) -> pd.DataFrame:
    """Pictures with each label, by split, and pictures where it is unknown."""
    import pandas as pd

    from mlic.labels import PRESENT, SPLITS, UNKNOWN

    parts = {split: labels.in_split(split).states for split in SPLITS}
    columns = {split: (states == PRESENT).sum(axis=0) for split, states in parts.items()}
    unknown = (labels.states == UNKNOWN).sum(axis=0)
    return pd.DataFrame({"label": labels.space.names, **columns, "unknown": unknown})

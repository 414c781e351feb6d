"""Nodes that draw the report's figures, which the catalog keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame
    from plotly.graph_objects import Figure

    from mlic.labels import LabelMatrix
    from mlic.labels.partition import Partition
    from mlic.labels.statistics import LabelStatistics
else:  # Kedro reads the annotations as it starts, and needs only those of parameters
    DataFrame = Figure = LabelMatrix = Partition = LabelStatistics = Any

__all__ = [
    "draw_average_precision",
    "draw_label_counts",
    "draw_networks",
    "draw_pair_errors",
    "draw_training_curves",
]


def draw_label_counts(label_counts: DataFrame, labels: LabelMatrix) -> Figure:
    """Images of every label, and labels of an image."""
    from mlic.labels import PRESENT, SPLITS
    from mlic.report import figures

    counts = {split: label_counts[split].to_numpy() for split in SPLITS}
    names = label_counts["label"].tolist()
    return figures.draw_label_counts(names, counts, (labels.states == PRESENT).sum(axis=1))


def draw_networks(statistics: LabelStatistics, **partitions: Partition) -> Figure:
    """Who keeps company with whom, inside the groups of each partition and between them."""
    from mlic.report import figures

    return figures.draw_networks(statistics, {p.strategy: p for p in partitions.values()})


def draw_training_curves(trainings: dict[str, Any]) -> Figure:
    """Validation mAP and loss of all trainings."""
    from mlic.report import figures

    return figures.draw_training_curves({name: t["history"] for name, t in trainings.items()})


def draw_average_precision(average_precision: DataFrame) -> Figure:
    """Average precision of every label, baseline against student."""
    from mlic.report import figures

    columns = (average_precision[name].to_numpy() for name in ("positives", "baseline", "student"))
    return figures.draw_average_precision(average_precision["label"].tolist(), *columns)


def draw_pair_errors(pair_errors: DataFrame) -> Figure:
    """Pairs of labels with the largest errors."""
    from mlic.report import figures

    names = {column: pair_errors[column].tolist() for column in ("first", "second")}
    rest = {str(c): pair_errors[c].to_numpy() for c in pair_errors.columns if c not in names}
    return figures.draw_pair_errors(names["first"], names["second"], rest)

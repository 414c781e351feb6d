"""Wiring of the label statistics."""

from kedro.pipeline import Node, Pipeline

from mlic.pipelines.label_statistics.nodes import count_training_labels, tabulate_labels

__all__ = ["create_pipeline"]


def create_pipeline() -> Pipeline:
    """Labels → label_statistics, label_counts."""
    return Pipeline(
        [
            Node(count_training_labels, "labels", "label_statistics", name="count_training_labels"),
            Node(tabulate_labels, "labels", "label_counts", name="tabulate_labels"),
        ]
    )

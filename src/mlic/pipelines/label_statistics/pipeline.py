"""Wiring of the label statistics."""

from kedro.pipeline import Node, Pipeline

from mlic.config.shape import RunShape
from mlic.pipelines.label_statistics.nodes import (
    count_training_labels,
    embed_training_labels,
    tabulate_labels,
)

__all__ = ["create_pipeline"]


def create_pipeline(shape: RunShape) -> Pipeline:
    """Labels → label_statistics, label_counts, and label_embeddings if a head reads them."""
    nodes = [
        Node(count_training_labels, "labels", "label_statistics", name="count_training_labels"),
        Node(tabulate_labels, "labels", "label_counts", name="tabulate_labels"),
    ]
    if "embeddings" in shape.context:
        embed = Node(
            embed_training_labels,
            inputs=["label_statistics", "params:model"],
            outputs="label_embeddings",
            name="embed_training_labels",
        )
        nodes.append(embed)
    return Pipeline(nodes)

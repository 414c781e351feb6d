"""Pipeline of the label statistics."""

from kedro.pipeline import Node, Pipeline

from mlic.config.shape import RunShape
from mlic.pipelines.label_statistics import nodes

__all__ = ["create_pipeline"]


def create_pipeline(shape: RunShape) -> Pipeline:
    """Connect labels to label_statistics and label_counts, and to label_embeddings if used."""
    count, table, embed = (
        Node(function, inputs, output, name=function.__name__)
        for function, inputs, output in (
            (nodes.count_training_labels, "labels", "label_statistics"),
            (nodes.tabulate_labels, "labels", "label_counts"),
            (nodes.embed_training_labels, ["label_statistics", "params:model"], "label_embeddings"),
        )
    )
    # Learned embeddings start from random numbers, so that no node has to make them.
    return Pipeline([count, table, embed] if "embeddings" in shape.context else [count, table])

"""Pipeline of the label statistics."""

from kedro.pipeline import Node, Pipeline

from mlic.pipelines.label_statistics.nodes import (
    count_training_labels,
    embed_training_labels,
    tabulate_labels,
)

__all__ = ["create_pipeline"]


def create_pipeline(embedded: bool = False) -> Pipeline:
    """Make the pipeline from labels to label_statistics, label_counts and label_embeddings.

    Parameters
    ----------
    embedded
        Whether the heads use label embeddings that are computed from the statistics.
    """
    nodes = [
        Node(count_training_labels, "labels", "label_statistics", name="count_training_labels"),
        Node(tabulate_labels, "labels", "label_counts", name="tabulate_labels"),
    ]
    if embedded:
        embed = Node(
            embed_training_labels,
            inputs=["label_statistics", "params:model"],
            outputs="label_embeddings",
            name="embed_training_labels",
        )
        nodes.append(embed)
    return Pipeline(nodes)

"""Wiring of graphs and partitions."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from mlic.pipelines.graph_partition.nodes import (
    build_cooccurrence_graph,
    build_disoccurrence_graph,
    cut_graph,
)

__all__ = ["create_pipeline"]

BUILDERS = {"cgp": build_cooccurrence_graph, "dgp": build_disoccurrence_graph}


def create_pipeline(strategies: Sequence[str] = ("cgp", "dgp")) -> Pipeline:
    """label_statistics → graph_<strategy> → partition_<strategy>."""
    nodes = []
    for strategy in strategies:
        builder = BUILDERS[strategy]
        nodes += [
            Node(
                builder,
                inputs=["label_statistics", "params:partition"],
                outputs=f"graph_{strategy}",
                name=builder.__name__,
            ),
            Node(
                cut_graph,
                inputs=[f"graph_{strategy}", "label_statistics", "params:partition", "params:seed"],
                outputs=f"partition_{strategy}",
                name=f"cut_graph_{strategy}",
            ),
        ]
    return Pipeline(nodes)

"""Build one label graph a strategy, and cut it.

networkx types are generic in its stubs alone: they take no argument at run time, when Kedro reads
the annotations.
"""

from __future__ import annotations

from dataclasses import replace

import networkx as nx

from mlic.labels.options import PartitionOptions
from mlic.labels.partition import Partition
from mlic.labels.statistics import LabelStatistics
from mlic.seeds import derive_seed

__all__ = ["build_cooccurrence_graph", "build_disoccurrence_graph", "cut_graph"]


def build_cooccurrence_graph(statistics: LabelStatistics, options: PartitionOptions) -> nx.Graph:  # type: ignore[type-arg]
    """Graph whose heavy edges join labels that keep company."""
    from mlic.labels.graph import label_graph

    return label_graph(statistics, "cgp", options.exponents["cgp"])


def build_disoccurrence_graph(statistics: LabelStatistics, options: PartitionOptions) -> nx.Graph:  # type: ignore[type-arg]
    """Graph whose heavy edges join labels that avoid each other."""
    from mlic.labels.graph import label_graph

    return label_graph(statistics, "dgp", options.exponents["dgp"])


def cut_graph(
    graph: nx.Graph,  # type: ignore[type-arg]
    statistics: LabelStatistics,
    options: PartitionOptions,
    seed: int,
) -> Partition:
    """Cut a label graph into K groups and say how good the cut is."""
    from mlic.labels.partitioning import partition_graph
    from mlic.labels.quality import partition_quality

    own_seed = derive_seed(seed, f"partition_{graph.graph['strategy']}")
    cut = partition_graph(graph, options.num_parts, seed=own_seed, min_size=options.min_size)
    quality = partition_quality(cut, statistics, graph.graph["exponent"], own_seed)
    return replace(cut, quality=quality)

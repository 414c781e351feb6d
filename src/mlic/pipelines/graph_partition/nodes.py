"""Build one label graph a strategy, and cut it; or draw the groups, or take a person's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mlic.labels.options import PartitionOptions
from mlic.utils.seeds import derive_seed

if TYPE_CHECKING:
    from networkx import Graph

    from mlic.labels.partition import Partition
    from mlic.labels.statistics import LabelStatistics
else:  # Kedro reads the annotations as it starts, and needs only those of parameters
    Graph = Partition = LabelStatistics = Any

__all__ = [
    "build_cooccurrence_graph",
    "build_disoccurrence_graph",
    "cut_graph",
    "draw_groups",
    "take_user_groups",
]

CUTS = 3  # of different seeds, to see whether a cut is a matter of chance


def build_cooccurrence_graph(statistics: LabelStatistics, options: PartitionOptions) -> Graph:  # type: ignore[type-arg]
    """Graph whose heavy edges join labels that keep company."""
    from mlic.labels.graph import label_graph

    return label_graph(statistics, "cgp", options.exponents["cgp"])


def build_disoccurrence_graph(statistics: LabelStatistics, options: PartitionOptions) -> Graph:  # type: ignore[type-arg]
    """Graph whose heavy edges join labels that avoid each other."""
    from mlic.labels.graph import label_graph

    return label_graph(statistics, "dgp", options.exponents["dgp"])


def cut_graph(
    graph: Graph,  # type: ignore[type-arg]
    statistics: LabelStatistics,
    options: PartitionOptions,
    seed: int,
) -> Partition:
    """Cut a label graph into K groups, say how good the cut is, and how sure.

    The graph says how; what is cut is the affinity of all pairs, from the counts, as the graph of
    many labels keeps only each one's nearest (`mlic.labels.graph.label_graph`).

    Other seeds cut too, for the figure ``stability`` alone: the mean adjusted Rand index over all
    pairs of `CUTS` cuts.
    """
    from mlic.labels.partition.partitioning import partition_labels
    from mlic.labels.partition.quality import partition_stability

    strategy, exponent = graph.graph["strategy"], graph.graph["exponent"]
    name = f"partition_{strategy}"
    seeds = [derive_seed(seed, own) for own in (name, *(f"{name}_{i}" for i in range(1, CUTS)))]
    parts, least = options.num_parts, options.min_size
    cuts = [
        partition_labels(statistics, strategy, parts, exponent, own, min_size=least)
        for own in seeds
    ]
    return _judge(cuts[0], statistics, stability=partition_stability(cuts))


def draw_groups(
    statistics: LabelStatistics,
    options: PartitionOptions,
    seed: int,
    like: Partition | None = None,
) -> Partition:
    """Deal the labels out at random: the control of every cut.

    Parameters
    ----------
    statistics
        Gives the labels.
    options
        Number and least size of the groups.
    seed
        The run's seed.
    like
        The partition whose sizes the groups take; without it they are equal to within one.

    Raises
    ------
    PartitionError
        If the labels do not fill so many groups.
    """
    from mlic.labels.partition.partitioning import balanced_sizes, random_partition

    if like is None:
        sizes = balanced_sizes(len(statistics.space), options.num_parts, options.min_size)
    else:
        like.space.require_same(statistics.space, "the partition", "the label statistics")
        sizes = [len(part) for part in like.parts]
    drawn = random_partition(statistics.space, sizes, derive_seed(seed, "partition_random"))
    return _judge(drawn, statistics)


def take_user_groups(
    user_groups: list[list[str]] | dict[str, list[str]],
    statistics: LabelStatistics,
    options: PartitionOptions,
) -> Partition:
    """Check the groups that a person wrote down and say how good they are.

    Raises
    ------
    LabelError
        If a name is not among the labels.
    PartitionError
        If they are no disjoint, complete cover, or not as many as teachers are wired.
    """
    from mlic.labels.partition import user_partition

    partition = user_partition(user_groups, statistics.space)
    partition.require_parts(options.num_parts)
    return _judge(partition, statistics)


def _judge(partition: Partition, statistics: LabelStatistics, **more: float) -> Partition:
    """Take the figures of every strategy on one graph, so that they can be compared."""
    from mlic.labels.partition.quality import partition_quality

    return replace(partition, quality={**partition_quality(partition, statistics), **more})

"""Nodes of the label graphs: build one per strategy, partition it, and survey other K."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from mlic.labels.options import PartitionOptions
from mlic.utils.seeds import derive_seed

if TYPE_CHECKING:
    from networkx import Graph
    from pandas import DataFrame
    from plotly.graph_objects import Figure

    from mlic.labels.partition import Partition
    from mlic.labels.statistics import LabelStatistics

__all__ = [
    "build_cooccurrence_graph",
    "build_disoccurrence_graph",
    "draw_partitions",
    "draw_random_groups",
    "draw_survey",
    "partition_graph",
    "read_user_groups",
    "suggest_num_parts",
    "survey_num_parts",
]

CUTS = 3  # partitions with different seeds, to measure how much the seed matters


def build_cooccurrence_graph(statistics: LabelStatistics, options: PartitionOptions) -> Graph:  # type: ignore[type-arg]
    """Build the graph whose heavy edges connect labels that occur together."""
    from mlic.labels.graph import label_graph

    return label_graph(statistics, "cgp", options.exponents["cgp"])


def build_disoccurrence_graph(statistics: LabelStatistics, options: PartitionOptions) -> Graph:  # type: ignore[type-arg]
    """Build the graph whose heavy edges connect labels that rarely occur together."""
    from mlic.labels.graph import label_graph

    return label_graph(statistics, "dgp", options.exponents["dgp"])


def partition_graph(
    graph: Graph,  # type: ignore[type-arg]
    statistics: LabelStatistics,
    options: PartitionOptions,
    seed: int,
) -> Partition:
    """Partition the labels into K groups, and measure the quality of the groups.

    The score ``stability`` is the mean adjusted Rand index over all pairs of `CUTS` partitions with
    different seeds; the first of them is returned.
    """
    from mlic.labels.partition.partitioning import partition_labels
    from mlic.labels.partition.quality import partition_stability

    # The graph names the strategy and the exponent only: the graph of many labels keeps the nearest
    # neighbours of each label, so that the affinity of all pairs is computed from the counts.
    strategy, exponent = graph.graph["strategy"], graph.graph["exponent"]
    name = f"partition_{strategy}"
    seeds = [derive_seed(seed, own) for own in (name, *(f"{name}_{i}" for i in range(1, CUTS)))]
    given = (statistics, strategy, options.num_parts, exponent)
    partitions = [partition_labels(*given, own, min_size=options.min_size) for own in seeds]
    return _add_quality(partitions[0], statistics, stability=partition_stability(partitions))


def draw_random_groups(
    statistics: LabelStatistics,
    options: PartitionOptions,
    seed: int,
    like: Partition | None = None,
) -> Partition:
    """Distribute the labels over random groups, the control of every partition.

    The groups have the sizes of the partition ``like``; without it, sizes differ by at most one.

    Raises
    ------
    PartitionError
        If there are too few labels for so many groups.
    LabelError
        If ``like`` has other labels than the statistics.
    """
    from mlic.labels.partition.partitioning import balanced_sizes, random_partition

    if like is None:
        sizes = balanced_sizes(len(statistics.space), options.num_parts, options.min_size)
    else:
        like.space.require_same(statistics.space, "the partition", "the label statistics")
        sizes = [len(part) for part in like.parts]
    drawn = random_partition(statistics.space, sizes, derive_seed(seed, "partition_random"))
    return _add_quality(drawn, statistics)


def read_user_groups(
    user_groups: list[list[str]] | dict[str, list[str]],
    statistics: LabelStatistics,
    options: PartitionOptions,
) -> Partition:
    """Check user-defined groups, and measure their quality.

    Raises
    ------
    LabelError
        If a name is not a label.
    PartitionError
        If the groups are not a disjoint, complete cover of the labels, or there are not as many
        groups as teachers.
    """
    from mlic.labels.partition import user_partition

    partition = user_partition(user_groups, statistics.space)
    partition.require_parts(options.num_parts)
    return _add_quality(partition, statistics)


def _add_quality(partition: Partition, statistics: LabelStatistics, **more: float) -> Partition:
    """Measure the quality on the same graph for every strategy, so that scores are comparable."""
    from mlic.labels.partition.quality import partition_quality

    return replace(partition, quality={**partition_quality(partition, statistics), **more})


def survey_num_parts(
    graph: Graph,  # type: ignore[type-arg]
    statistics: LabelStatistics,
    options: PartitionOptions,
    seed: int,
) -> DataFrame:
    """Tabulate the quality of the partitions of one graph for every K, including the K in use."""
    import pandas as pd

    from mlic.labels.partition.survey import possible_parts, survey_parts

    strategy, exponent = graph.graph["strategy"], graph.graph["exponent"]
    ks = {*possible_parts(len(statistics.space), options.min_size), options.num_parts}
    # The same seed as in `partition_graph`, so that the row of the K in use describes those groups.
    own = derive_seed(seed, f"partition_{strategy}")
    rows = survey_parts(statistics, strategy, exponent, sorted(ks), own, min_size=options.min_size)
    return pd.DataFrame(rows)


def suggest_num_parts(statistics: LabelStatistics, seed: int) -> dict[str, Any]:
    """Count the communities of the co-occurrence graph, as a hint for the choice of K.

    The result has the fields of `mlic.labels.partition.survey.Suggestion`.
    """
    from mlic.labels.partition.survey import suggest_parts

    return asdict(suggest_parts(statistics, derive_seed(seed, "suggest_parts")))


def draw_survey(
    survey: DataFrame, suggested_parts: dict[str, Any], options: PartitionOptions
) -> Figure:
    """Draw the quality over K, with the K in use and the number of communities marked."""
    from mlic.labels.partition.survey import Suggestion
    from mlic.report import figures

    rows = [{str(name): value for name, value in row.items()} for row in survey.to_dict("records")]
    return figures.draw_survey(rows, options.num_parts, Suggestion(**suggested_parts))


def draw_partitions(statistics: LabelStatistics, **partitions: Partition) -> Figure:
    """Draw the co-occurrence of all labels in the order of each partition."""
    from mlic.report import figures

    return figures.draw_partitions(statistics, {one.strategy: one for one in partitions.values()})

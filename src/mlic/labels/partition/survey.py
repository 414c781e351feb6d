"""Choice of the number of parts K: quality for several K, and a suggestion from communities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import networkx as nx

from mlic.labels.graph import COOCCURRENCE_EXPONENT, label_graph
from mlic.labels.partition.partitioning import partition_labels
from mlic.labels.partition.quality import partition_quality, partition_stability
from mlic.labels.statistics import LabelStatistics

__all__ = ["Suggestion", "possible_parts", "suggest_parts", "survey_parts"]

SURVEYED = (2, 3, 4, 5, 6, 8, 10, 13)  # K of the published partitions, and values in between
MAX_EDGES = 500_000  # edges that all runs of the Louvain method visit together: about five seconds


@dataclass(frozen=True)
class Suggestion:
    """Number of parts that the communities of the labels suggest.

    Parameters
    ----------
    num_parts
        Most frequent number of communities with two or more labels; None if no two labels occur
        together.
    share
        Share of the seeds that found this number.
    modularity
        Mean modularity over the seeds; near 0 there are no clear communities.
    """

    num_parts: int | None
    share: float
    modularity: float


def possible_parts(num_labels: int, min_size: int = 2) -> list[int]:
    """Return the numbers of parts to survey: from 2 to 13, as far as there are enough labels.

    Examples
    --------
    >>> possible_parts(80), possible_parts(9), possible_parts(3)
    ([2, 3, 4, 5, 6, 8, 10, 13], [2, 3, 4], [])
    """
    return [number for number in SURVEYED if number * min_size <= num_labels]


def survey_parts(
    statistics: LabelStatistics,
    strategy: str,
    exponent: float,
    ks: Iterable[int],
    seed: int = 0,
    *,
    min_size: int = 2,
    num_seeds: int = 2,
) -> list[dict[str, float]]:
    """Compute the quality of a strategy's partition for several numbers of parts.

    Parameters
    ----------
    statistics, strategy, exponent, min_size
        As in `partition_labels`.
    ks
        Numbers of parts; see `possible_parts`.
    seed
        Seed of the first cut; the other cuts use the following seeds.
    num_seeds
        Number of cuts for each number of parts, at least two.

    Returns
    -------
    list of dict
        One row for each K: ``num_parts``; ``smallest`` and ``largest``, the sizes of parts; the
        figures of `partition_quality` on S with p = 1/2, all for the first cut; and ``stability``,
        the result of `partition_stability` over all cuts.

    Raises
    ------
    PartitionError
        If there are not enough labels for a number of parts, or only one seed.

    Examples
    --------
    >>> import numpy as np
    >>> from mlic.labels.space import LabelSpace
    >>> from mlic.labels.statistics import count_labels
    >>> states = np.array([[1, 1, 0, 0], [0, 0, 1, 1]])
    >>> counted = count_labels(states, LabelSpace(("sea", "boat", "cow", "field")))
    >>> row = survey_parts(counted, "cgp", 0.5, ks=[2])[0]
    >>> row["num_parts"], row["coverage_counts"], row["stability"]
    (2, 1.0, 1.0)
    """
    rows: list[dict[str, float]] = []
    for k in ks:
        cuts = [
            partition_labels(statistics, strategy, k, exponent, seed + i, min_size=min_size)
            for i in range(num_seeds)
        ]
        # figures describe the first cut, which is the one that the pipeline uses
        sizes = [len(part) for part in cuts[0].parts]
        rows.append(
            {"num_parts": k, "smallest": min(sizes), "largest": max(sizes)}
            | partition_quality(cuts[0], statistics)
            | {"stability": partition_stability(cuts)}
        )
    return rows


def suggest_parts(statistics: LabelStatistics, seed: int = 0, num_seeds: int = 20) -> Suggestion:
    """Count the communities of the co-occurrence graph with the Louvain method [1]_.

    Modularity ignores the cost of a teacher: the suggestion is a hint for the reader of
    `survey_parts`, and no default depends on it.

    Parameters
    ----------
    statistics
        Counts of labels and pairs.
    seed
        Seed of the first run; the other runs use the following seeds.
    num_seeds
        Number of runs, of which graphs with very many edges get fewer, but at least three.

    Returns
    -------
    Suggestion
        The most frequent number, and how many runs agree. A single label is not a community.

    References
    ----------
    .. [1] Blondel et al., "Fast unfolding of communities in large networks", J. Stat. Mech. 2008.
    """
    # networkx sums over sets of nodes: the order of a set of names would change between processes
    named: nx.Graph[Any] = label_graph(statistics, "cgp", COOCCURRENCE_EXPONENT)
    graph = nx.convert_node_labels_to_integers(named)
    if graph.number_of_edges() == 0:
        return Suggestion(None, 1.0, 0.0)
    # the time of a run grows with the edges; three runs still show whether they agree
    runs = min(num_seeds, max(3, MAX_EDGES // graph.number_of_edges()))
    # by default, the Louvain method reads the edge attribute "weight"
    found = [nx.community.louvain_communities(graph, seed=seed + run) for run in range(runs)]
    # labels without an edge form communities of one label, which are not counted
    numbers = Counter(sum(len(labels) > 1 for labels in run) for run in found)
    num_parts, times = numbers.most_common(1)[0]
    modularity = sum(nx.community.modularity(graph, run) for run in found) / runs
    return Suggestion(num_parts, times / runs, modularity)

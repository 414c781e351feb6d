"""How many parts: the quality of a partition over K, and what the communities suggest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx

from mlic.labels.graph import COMPANY_EXPONENT, label_graph
from mlic.labels.partition.partitioning import partition_labels
from mlic.labels.partition.quality import partition_quality, partition_stability

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlic.labels.statistics import LabelStatistics

__all__ = ["Suggestion", "possible_parts", "suggest_parts", "survey_parts"]

SURVEYED = (2, 3, 4, 5, 6, 8, 10, 13)  # those of the published partitions, and between them
EDGES = 500_000  # that all runs of the Louvain method go through, each: some five seconds


@dataclass(frozen=True)
class Suggestion:
    """Number of parts that the communities of the labels suggest; a person decides.

    Parameters
    ----------
    num_parts
        The most frequent number of communities of two labels or more; None where labels keep no
        company.
    share
        Share of the seeds that found this number.
    modularity
        Mean over the seeds: near 0, there are no communities to speak of.
    """

    num_parts: int | None
    share: float
    modularity: float


def possible_parts(num_labels: int, min_size: int = 2) -> list[int]:
    """Numbers of parts worth a look: from 2 to 13, as far as the labels fill them.

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
    """Quality of a strategy's partition for every number of parts.

    Parameters
    ----------
    statistics
        Counts of labels and pairs.
    strategy, exponent
        As in `label_graph`.
    ks
        Numbers of parts; see `possible_parts`.
    seed
        Of the first cut; the others take the next ones.
    min_size
        Labels that every part has at least.
    num_seeds
        Cuts for each number, at least two.

    Returns
    -------
    list of dict
        A row a K: ``num_parts``; ``smallest`` and ``largest``, sizes; the figures of
        `partition_quality` on S at p = 1/2, all of them of the first cut; and ``stability``, of
        `partition_stability`, over all cuts.

    Raises
    ------
    PartitionError
        If a number of parts cannot be had from the labels, or there is one seed only.

    Examples
    --------
    >>> import numpy as np
    >>> from mlic.labels.space import LabelSpace
    >>> from mlic.labels.statistics import count_labels
    >>> states = np.repeat(np.kron(np.eye(2, dtype=np.int8), np.ones((1, 2), np.int8)), 3, axis=0)
    >>> counted = count_labels(states, LabelSpace(("sea", "boat", "cow", "field")))
    >>> row = survey_parts(counted, "cgp", 0.5, ks=[2])[0]
    >>> row["num_parts"], row["mass_counts"], row["stability"]
    (2, 1.0, 1.0)
    """
    rows: list[dict[str, float]] = []
    for k in ks:
        cuts = [
            partition_labels(statistics, strategy, k, exponent, seed + i, min_size=min_size)
            for i in range(num_seeds)
        ]
        sizes = [len(part) for part in cuts[0].parts]
        rows.append(
            {"num_parts": k, "smallest": min(sizes), "largest": max(sizes)}
            | partition_quality(cuts[0], statistics)
            | {"stability": partition_stability(cuts)}
        )
    return rows


def suggest_parts(statistics: LabelStatistics, seed: int = 0, num_seeds: int = 20) -> Suggestion:
    """Number of communities in the co-occurrence graph, by the Louvain method [1]_.

    Parameters
    ----------
    statistics
        Counts of labels and pairs.
    seed
        Of the first run; the others take the next ones.
    num_seeds
        Runs to agree; of a graph with very many edges fewer, but three if so many are asked for.

    Returns
    -------
    Suggestion
        With how many of the runs agree. Labels without company are no community.

    Notes
    -----
    Modularity knows no K and no cost of a teacher, so that this is a hint for the reader of
    `survey_parts` and never a default.

    References
    ----------
    .. [1] Blondel et al., "Fast unfolding of communities in large networks", J. Stat. Mech. 2008.
    """
    graph = label_graph(statistics, "cgp", COMPANY_EXPONENT)
    if graph.number_of_edges() == 0:
        return Suggestion(None, 1.0, 0.0)
    runs = min(num_seeds, max(3, EDGES // graph.number_of_edges()))
    found = [
        nx.community.louvain_communities(graph, seed=seed + run)  # by edge weight
        for run in range(runs)
    ]
    numbers = Counter(sum(len(labels) > 1 for labels in run) for run in found)
    num_parts, times = numbers.most_common(1)[0]
    modularity = sum(nx.community.modularity(graph, run) for run in found) / runs
    return Suggestion(num_parts, times / runs, modularity)

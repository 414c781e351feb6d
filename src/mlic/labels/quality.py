"""How good a partition is: cut, modularity, and how much company its parts keep."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import adjusted_rand_score

from mlic.errors import PartitionError
from mlic.labels.cuts import cut_value, inside_mass
from mlic.labels.graph import COMPANY_EXPONENT, label_affinity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlic.labels.local_search import Weights
    from mlic.labels.partition import Partition
    from mlic.labels.statistics import LabelStatistics

__all__ = ["modularity", "partition_quality", "partition_stability"]

RANDOM_PARTITIONS = 100


def partition_quality(
    partition: Partition,
    statistics: LabelStatistics,
    exponent: float = COMPANY_EXPONENT,
    seed: int = 0,
) -> dict[str, float]:
    """Figures of a partition, all of them on the co-occurrence graph S.

    Parameters
    ----------
    partition
        Any partition of the labels counted.
    statistics
        Counts of labels and pairs.
    exponent
        Of S; give every partition to be compared the same.
    seed
        Of the random partitions.

    Returns
    -------
    dict of str to float
        ``ncut``, the normalised cut; ``modularity`` (Newman, weighted); ``mass_counts`` and
        ``mass_graph``, the shares of co-occurrence counts and of S inside parts;
        ``mass_counts_random`` and ``mass_graph_random``, the means of these over 100 random
        partitions of the same sizes, and ``…_random_sd``, their standard deviations. A
        co-occurrence partition wants a low cut and the rest high, a dis-occurrence partition the
        opposite.

    Raises
    ------
    LabelError
        If partition and statistics have different labels.

    Examples
    --------
    >>> from mlic.labels.partition import user_partition
    >>> from mlic.labels.space import LabelSpace
    >>> from mlic.labels.statistics import count_labels
    >>> space = LabelSpace(("sea", "boat", "cow", "field"))
    >>> statistics = count_labels(np.array([[1, 1, 0, 0], [0, 0, 1, 1]]), space)
    >>> parts = user_partition([["sea", "boat"], ["cow", "field"]], space)
    >>> partition_quality(parts, statistics)["mass_counts"]
    1.0
    """
    partition.space.require_same(statistics.space, "the partition", "the label statistics")
    weights = label_affinity(statistics, exponent)
    membership = partition.membership
    figures = {
        "ncut": cut_value(weights, membership),
        "modularity": modularity(weights, membership),
    }
    rng = np.random.default_rng(seed)
    shuffled = [rng.permutation(membership) for _ in range(RANDOM_PARTITIONS)]
    edges = {"mass_counts": statistics.together.tocoo(), "mass_graph": weights.tocoo()}
    for name, matrix in edges.items():
        figures[name] = inside_mass(matrix, membership)
        random = [inside_mass(matrix, other) for other in shuffled]
        figures[f"{name}_random"] = float(np.mean(random))
        figures[f"{name}_random_sd"] = float(np.std(random))
    return figures


def partition_stability(partitions: Sequence[Partition]) -> float:
    """Mean adjusted Rand index (Hubert and Arabie, 1985) over all pairs of partitions.

    Parameters
    ----------
    partitions
        Of the same labels, by the same procedure from different seeds; at least two.

    Returns
    -------
    float
        1 if all are the same, about 0 if they agree no more than chance.

    Raises
    ------
    LabelError
        If two have different labels.
    PartitionError
        If there are fewer than two.

    Examples
    --------
    >>> from mlic.labels.partition import user_partition
    >>> from mlic.labels.space import LabelSpace
    >>> space = LabelSpace(("sea", "boat", "cow", "field"))
    >>> first = user_partition([["sea", "boat"], ["cow", "field"]], space)
    >>> partition_stability([first, user_partition([["cow", "sea"], ["boat", "field"]], space)])
    -0.5
    """
    if len(partitions) < 2:
        raise PartitionError("stability compares two partitions or more: cut with more seeds")
    first, *others = partitions
    for other in others:
        first.space.require_same(other.space, "the first partition", "another partition")
    pairs = combinations([partition.membership for partition in partitions], 2)
    return float(np.mean([adjusted_rand_score(one, two) for one, two in pairs]))


def modularity(weights: Weights, membership: NDArray[np.intp]) -> float:
    """Weighted modularity of a partition (Newman, 2004).

    Parameters
    ----------
    weights
        Symmetric, zero diagonal, an array or sparse; shape (C, C).
    membership
        Part of every label; shape (C,).

    Returns
    -------
    float
        Share of weight inside parts less the share expected by degree; 0 without any weight.
    """
    total = float(weights.sum())
    if total == 0:
        return 0.0
    volume = np.bincount(membership, weights=weights.sum(axis=1))
    return inside_mass(weights, membership) - float(np.sum((volume / total) ** 2))

"""Quality of partitions: normalised cut, modularity, coverage and stability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

from mlic.errors import PartitionError
from mlic.labels.graph import COOCCURRENCE_EXPONENT, label_affinity
from mlic.labels.partition.cover import Partition
from mlic.labels.partition.part_sums import (
    Membership,
    Weights,
    internal_ratio,
    part_affinity,
    part_sums,
)
from mlic.labels.statistics import LabelStatistics

__all__ = [
    "coverage",
    "cut_value",
    "modularity",
    "partition_quality",
    "partition_stability",
    "random_coverage",
]


def partition_quality(
    partition: Partition, statistics: LabelStatistics, exponent: float = COOCCURRENCE_EXPONENT
) -> dict[str, float]:
    """Compute quality figures of a partition, all on the co-occurrence graph S.

    Parameters
    ----------
    partition
        A partition of the counted labels.
    statistics
        Counts of labels and pairs.
    exponent
        Exponent of S; use the same one for all partitions that are compared.

    Returns
    -------
    dict of str to float
        ``ncut``, the normalised cut; ``modularity`` (Newman, weighted); ``coverage_counts`` and
        ``coverage_graph``, the shares of the co-occurrence counts and of the weight of S that lie
        inside parts; ``…_random`` and ``…_random_sd``, the means and standard deviations of these
        over all partitions of the same sizes. A good co-occurrence partition has a low cut and high
        other figures, a good dis-occurrence partition the opposite.

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
    >>> partition_quality(parts, statistics)["coverage_counts"]
    1.0
    """
    partition.space.require_same(statistics.space, "the partition", "the label statistics")
    weights = label_affinity(statistics, exponent)
    membership = partition.membership
    figures = {
        "ncut": cut_value(weights, membership),
        "modularity": modularity(weights, membership),
    }
    sizes = np.bincount(membership)
    for name, edges in (("coverage_counts", statistics.together), ("coverage_graph", weights)):
        figures[name] = coverage(edges, membership)
        mean, deviation = random_coverage(edges, sizes)
        figures |= {f"{name}_random": mean, f"{name}_random_sd": deviation}
    return figures


def random_coverage(weights: Weights, sizes: ArrayLike) -> tuple[float, float]:
    """Mean and standard deviation of `coverage` over all partitions of given sizes.

    Every assignment of the labels to parts of these sizes, which add up to C, is equally likely.
    The moments are exact; no partition is sampled. Both are 0 if there is no weight. The weights
    are as in `cut_value`.

    Notes
    -----
    The sizes fix how many pairs of labels share a part. Subtracting the mean weight from the weight
    of every pair therefore changes the mean of the coverage only, and the weights e of pairs then
    sum to 0. Let a = Σ e² over pairs and b = Σ d² over labels, with d the sum of the weights of a
    label. The products of the weights of two disjoint pairs sum to a − b, and those of two pairs
    that share a label sum to b − 2 a. The variance of the weight inside parts is

        a p + (b − 2 a) q + (a − b) r,

    where p, q and r are the probabilities that two given labels share a part, that three do, and
    that each of two disjoint pairs does. This is the permutation variance of Mantel [1]_ for a
    matrix of weights and a matrix of zeros and ones.

    References
    ----------
    .. [1] Mantel, "The detection of disease clustering and a generalized regression approach",
       Cancer Research 27, 1967.
    """
    labels, parts = weights.shape[0], np.asarray(sizes, dtype=np.float64)
    entries = weights if isinstance(weights, np.ndarray) else weights.data
    total = float(entries.sum()) / 2
    if total == 0:
        return 0.0, 0.0
    # ordered selections from each part, summed over parts below
    two, three, four = (_draws(parts, number) for number in (2, 3, 4))
    # with fewer than 3 or 4 labels the numerators are 0 too, and max(1, …) only avoids 0 / 0
    p, q = two.sum() / _draws(labels, 2), three.sum() / max(1, _draws(labels, 3))
    r = (four.sum() + two.sum() ** 2 - (two**2).sum()) / max(1, _draws(labels, 4))
    # in float64, because squares of int32 counts may overflow
    squares = float(np.square(entries, dtype=np.float64).sum()) / 2
    # the mean weight is subtracted in closed form, because it would make sparse weights dense
    a = squares - 2 * total**2 / _draws(labels, 2)
    b = float(np.square(weights.sum(axis=1) - 2 * total / labels).sum())
    variance = a * p + (b - 2 * a) * q + (a - b) * r
    return float(p), math.sqrt(max(0.0, variance)) / total  # rounding may give −1e-17


def _draws(labels: Any, number: int) -> Any:
    """Count the ordered selections of some labels from a set; from each set of an array."""
    return math.prod(labels - drawn for drawn in range(number))


def partition_stability(partitions: Sequence[Partition]) -> float:
    """Mean adjusted Rand index (Hubert and Arabie, 1985) over all pairs of partitions.

    The partitions come from one procedure with different seeds. The index is 1 if all are equal,
    and about 0 if they agree no more than random partitions. A `PartitionError` is raised if there
    are fewer than two partitions, a `LabelError` if they have different labels.
    """
    if len(partitions) < 2:
        raise PartitionError(
            f"stability needs at least two partitions, not {len(partitions)}: cut with more seeds",
            found=len(partitions),
            expected=2,
        )
    first, *others = partitions
    for other in others:
        first.space.require_same(other.space, "the first partition", "another partition")
    pairs = combinations([partition.membership for partition in partitions], 2)
    return float(np.mean([adjusted_rand_score(one, two) for one, two in pairs]))


def cut_value(weights: Weights, membership: Membership) -> float:
    """Normalised cut, Σ over parts of cut(part, rest) / volume(part) (Shi and Malik, 2000).

    A part whose labels have no affinity at all adds 1, as if it were cut completely.

    Parameters
    ----------
    weights
        Affinity, symmetric, zero diagonal, an array or sparse; shape (C, C).
    membership
        Part of every label, 0 … K − 1; shape (C,).

    Examples
    --------
    >>> pair = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> cut_value(pair, np.array([0, 0])), cut_value(pair, np.array([0, 1]))
    (0.0, 2.0)
    """
    if not membership.any():
        return 0.0  # one part, even without affinity
    affinity = part_affinity(weights, membership, int(membership.max()) + 1)
    return float(np.sum(1.0 - internal_ratio(*part_sums(affinity, membership))))


def coverage(weights: Weights, membership: Membership) -> float:
    """Share of all affinity that lies inside parts [1]_; 0 if there is no affinity at all.

    The arguments are as in `cut_value`.

    References
    ----------
    .. [1] Fortunato, "Community detection in graphs", Physics Reports 486, 2010.

    Examples
    --------
    >>> path = np.array([[0.0, 3.0, 0.0], [3.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    >>> coverage(path, np.array([0, 0, 1]))
    0.75
    """
    edges = sparse.coo_array(weights)
    total = float(edges.data.sum())
    same = membership[edges.row] == membership[edges.col]
    return float(edges.data[same].sum()) / total if total > 0 else 0.0


def modularity(weights: Weights, membership: Membership) -> float:
    """Share of the weight inside parts minus the share expected from degrees (Newman, 2004).

    The arguments are as in `cut_value`. The modularity is 0 without weight.
    """
    total = float(weights.sum())
    if total == 0:
        return 0.0
    volume = np.bincount(membership, weights=weights.sum(axis=1))
    return coverage(weights, membership) - float(np.sum((volume / total) ** 2))

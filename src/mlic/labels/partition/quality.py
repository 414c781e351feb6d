"""How good a partition is: cut, modularity, and how much company its parts keep."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import adjusted_rand_score

from mlic.errors import PartitionError
from mlic.labels.graph import COMPANY_EXPONENT, label_affinity
from mlic.labels.partition.cuts import cut_value, inside_mass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlic.labels.partition.part_sums import Weights
    from mlic.labels.partition.partition import Partition
    from mlic.labels.statistics import LabelStatistics

__all__ = ["modularity", "partition_quality", "partition_stability", "random_mass"]


def partition_quality(
    partition: Partition,
    statistics: LabelStatistics,
    exponent: float = COMPANY_EXPONENT,
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

    Returns
    -------
    dict of str to float
        ``ncut``, the normalised cut; ``modularity`` (Newman, weighted); ``mass_counts`` and
        ``mass_graph``, the shares of co-occurrence counts and of S inside parts;
        ``mass_counts_random`` and ``mass_graph_random``, the means of these over all partitions
        of the same sizes, and ``…_random_sd``, their standard deviations, see `random_mass`. A
        co-occurrence partition wants a low cut and the rest high, a dis-occurrence partition the
        opposite.

    Raises
    ------
    LabelError
        If partition and statistics have different labels.

    Examples
    --------
    >>> from mlic.labels.partition.partition import user_partition
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
    sizes = np.bincount(membership)
    for name, edges in (("mass_counts", statistics.together), ("mass_graph", weights)):
        figures[name] = inside_mass(edges, membership)
        mean, deviation = random_mass(edges, sizes)
        figures |= {f"{name}_random": mean, f"{name}_random_sd": deviation}
    return figures


def random_mass(weights: Weights, sizes: Sequence[int] | NDArray[np.intp]) -> tuple[float, float]:
    """Mean and standard deviation of `inside_mass` over all partitions of given sizes.

    Labels are dealt out at random: every permutation of them is as likely. The moments are exact,
    and no partition is drawn.

    Parameters
    ----------
    weights
        Symmetric, zero diagonal, an array or sparse; shape (C, C).
    sizes
        Labels of each part, together C.

    Returns
    -------
    mean, deviation : float
        Both 0 where there is no weight.

    Notes
    -----
    The sizes fix how many pairs of labels share a part, so that the mean weight, taken off every
    pair, changes the mean and nothing else. The weights e of pairs then sum to 0; with a = Σ e²
    over pairs, and b = Σ d² over the sums d of each label's weights, products of the weights of
    two disjoint pairs sum to a − b, and those of two pairs that share a label to b − 2 a. The
    variance of the weight inside is

        a p + (b − 2 a) q + (a − b) r,

    with p, q and r the probabilities that two given labels share a part, that three do, and that
    each of two disjoint pairs does. It is the permutation variance of Mantel [1]_, of a matrix of
    weights and one of zeros and ones.

    References
    ----------
    .. [1] Mantel, "The detection of disease clustering and a generalized regression approach",
       Cancer Research 27, 1967.

    Examples
    --------
    >>> path = np.diag([1.0, 1.0, 1.0], k=1)
    >>> mean, deviation = random_mass(path + path.T, [2, 2])  # of 0, 1/3 and 2/3
    >>> round(mean, 6), round(deviation, 6)
    (0.333333, 0.272166)
    """
    labels, parts = weights.shape[0], np.asarray(sizes, dtype=np.float64)
    entries = weights if isinstance(weights, np.ndarray) else weights.data
    total = float(entries.sum()) / 2
    if total == 0:
        return 0.0, 0.0
    two, three, four = (_draws(parts, number) for number in (2, 3, 4))
    p, q = two.sum() / _draws(labels, 2), three.sum() / max(1, _draws(labels, 3))
    r = (four.sum() + two.sum() ** 2 - (two**2).sum()) / max(1, _draws(labels, 4))
    squares = float(np.square(entries, dtype=np.float64).sum()) / 2
    a = squares - 2 * total**2 / _draws(labels, 2)
    b = float(np.square(weights.sum(axis=1) - 2 * total / labels).sum())
    variance = a * p + (b - 2 * a) * q + (a - b) * r
    return float(p), math.sqrt(max(0.0, variance)) / total


def _draws(labels: Any, number: int) -> Any:
    """Ways to draw some labels one after the other, from each of several sets."""
    return math.prod(labels - drawn for drawn in range(number))


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
    >>> from mlic.labels.partition.partition import user_partition
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

"""From label statistics to a partition: our cuts, the published procedure, the random control."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import SpectralClustering
from sklearn.metrics import calinski_harabasz_score

from mlic.errors import ParameterError, PartitionError
from mlic.labels.graph import (
    COMPANY_EXPONENT,
    KINDS,
    affinity,
    label_affinity,
    require_exponent,
)
from mlic.labels.partition.cuts import balanced_max_cut, equal_sizes, normalised_cut
from mlic.labels.partition.partition import Partition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mlic.labels.space import LabelSpace
    from mlic.labels.statistics import LabelStatistics

__all__ = ["METHODS", "balanced_sizes", "partition_labels", "random_partition"]

METHODS = {  # strategy of the graph -> methods, the default first
    "cgp": ("normalised_cut", "published", "random"),
    "dgp": ("balanced_max_cut", "published", "random"),
    "random": ("random",),
}
RESTARTS = 4  # of the published procedure


def partition_labels(
    statistics: LabelStatistics,
    strategy: str,
    num_parts: int,
    exponent: float,
    seed: int = 0,
    method: str | None = None,
    min_size: int = 2,
) -> Partition:
    """Cut the label graph of a strategy into parts, without making the graph.

    Parameters
    ----------
    statistics
        Counts of labels and pairs.
    strategy, exponent
        As in `label_graph`.
    num_parts
        Number of parts K.
    seed
        Same statistics, strategy, exponent, K and seed: same partition.
    method
        ``"normalised_cut"`` for a co-occurrence graph: parts hold what occurs together.
        ``"balanced_max_cut"`` for a dis-occurrence graph: parts equal in size to within one
        hold what does not. ``"published"``: the procedure of the paper's authors.
        ``"random"``: the control, parts equal to within one. By default the strategy chooses.
    min_size
        Labels that every part has at least; the published procedure knows no such bound.

    Returns
    -------
    Partition
        With the strategy, or ``"random"``.

    Raises
    ------
    PartitionError
        If K parts of that size cannot be had from the labels.
    ParameterError
        If the strategy is unknown, the exponent is not positive, or the method does not fit.

    Notes
    -----
    For a dis-occurrence graph D = 1 − S the normalised cut is nearly flat, as D is nearly
    constant; with sizes fixed the company S inside parts is not, and it alone decides. Our cut
    weighs it with p = 1/2 whatever the graph's exponent: what dis-occurrence groups keep apart is
    then what co-occurrence groups keep together. The graph's own exponent, 1/3 by default, is
    what the published procedure needs to find anything in D.

    Both our cuts thus read S alone, which is sparse where most labels never meet; no C × C matrix
    is made of more labels than `cuts.DENSE_LABELS`. The published procedure has no sparse form.

    Examples
    --------
    >>> from mlic.labels.space import LabelSpace
    >>> from mlic.labels.statistics import count_labels
    >>> states = np.array([[1, 0, 1, 0], [0, 1, 0, 1]], dtype=np.int8)
    >>> counted = count_labels(states, LabelSpace(("sea", "cow", "boat", "field")))
    >>> partition_labels(counted, "cgp", num_parts=2, exponent=0.5).parts
    ((0, 2), (1, 3))
    """
    method = _method(strategy, method)
    require_exponent(exponent)
    space = statistics.space
    sizes = balanced_sizes(len(space), num_parts, 1 if method == "published" else min_size)
    if method == "random":
        return random_partition(space, sizes, seed)
    membership = np.zeros(len(space), dtype=np.intp)
    if num_parts > 1:
        rng = np.random.default_rng(seed)
        membership = _cut(statistics, strategy, method, exponent, num_parts, min_size, rng)
    parts = tuple(tuple(np.flatnonzero(membership == part).tolist()) for part in range(num_parts))
    return Partition(space, strategy, parts, exponent, seed)


def _method(strategy: str, method: str | None) -> str:
    if strategy not in METHODS:
        raise ParameterError(f"strategy '{strategy}' is unknown: use one of {', '.join(METHODS)}")
    method = method or METHODS[strategy][0]
    if method not in METHODS[strategy]:
        raise ParameterError(
            f"method '{method}' does not cut a '{strategy}' graph: "
            f"use one of {', '.join(METHODS[strategy])}"
        )
    return method


def random_partition(space: LabelSpace, sizes: Sequence[int], seed: int = 0) -> Partition:
    """Labels dealt at random into parts of given sizes: the control of every other partition.

    Parameters
    ----------
    space
        The labels.
    sizes
        Labels of every part; they add up to all labels.
    seed
        Of the deal.

    Raises
    ------
    PartitionError
        If the sizes do not add up to the number of labels, or one is 0.

    Examples
    --------
    >>> from mlic.labels.space import LabelSpace
    >>> random_partition(LabelSpace(tuple("abcd")), [3, 1], seed=0).num_parts
    2
    """
    if sum(sizes) != len(space):
        raise PartitionError(
            f"random parts of sizes {list(sizes)} hold {sum(sizes)} labels but there are "
            f"{len(space)}: make the sizes add up"
        )
    order = np.random.default_rng(seed).permutation(len(space))
    parts = np.split(order, np.cumsum(sizes)[:-1])
    return Partition(space, "random", tuple(tuple(part.tolist()) for part in parts), None, seed)


def balanced_sizes(num_labels: int, num_parts: int, min_size: int = 1) -> list[int]:
    """Sizes of parts that are equal to within one.

    Raises
    ------
    PartitionError
        If so many parts of that least size cannot be had from the labels.

    Examples
    --------
    >>> balanced_sizes(8, 3, min_size=2)
    [3, 3, 2]
    """
    if num_parts < 1 or min_size < 1:
        raise PartitionError(
            f"{num_parts} parts of at least {min_size} labels cannot be made: give 1 or more"
        )
    if num_parts * min_size > num_labels:
        raise PartitionError(
            f"{num_labels} labels do not fill {num_parts} parts of at least {min_size}: ask for "
            f"at most {num_labels // min_size} parts, or lower the least size"
        )
    return equal_sizes(num_labels, num_parts)


def _cut(
    statistics: LabelStatistics,
    strategy: str,
    method: str,
    exponent: float,
    num_parts: int,
    min_size: int,
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    if method == "normalised_cut":
        return normalised_cut(label_affinity(statistics, exponent), num_parts, min_size, rng)
    if method == "balanced_max_cut":
        return balanced_max_cut(label_affinity(statistics, COMPANY_EXPONENT), num_parts, rng)
    return _published(affinity(statistics, KINDS[strategy], exponent), strategy, num_parts, rng)


def _published(
    weights: NDArray[np.float64], strategy: str, num_parts: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Spectral clustering, the best of four by the Calinski-Harabasz index of affinity rows."""
    if num_parts == len(weights):
        return np.arange(num_parts)
    rows = weights + np.eye(len(weights)) * (strategy == "dgp")  # D = 1 − S has ones there
    if connected_components(rows, directed=False, return_labels=False) > 1:
        rows = rows + 1e-6  # a graph in pieces has no spectral embedding of its own
    found = [_spectral(rows, num_parts, int(rng.integers(2**31))) for _ in range(RESTARTS)]
    return max(found, key=lambda labels: float(calinski_harabasz_score(rows, labels)))


def _spectral(rows: NDArray[np.float64], num_parts: int, seed: int) -> NDArray[np.intp]:
    model = SpectralClustering(num_parts, affinity="precomputed", n_init=20, random_state=seed)
    return np.asarray(model.fit_predict(rows), dtype=np.intp)

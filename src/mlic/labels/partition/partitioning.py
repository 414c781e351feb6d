"""From label statistics to a partition: our cuts, the published procedure, the random control."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import SpectralClustering
from sklearn.metrics import calinski_harabasz_score

from mlic.errors import ParameterError, PartitionError
from mlic.labels.graph import (
    COOCCURRENCE_EXPONENT,
    affinity,
    graph_kind,
    label_affinity,
    require_exponent,
)
from mlic.labels.partition.cover import Partition
from mlic.labels.partition.cuts import balanced_max_cut, normalised_cut
from mlic.labels.space import LabelSpace
from mlic.labels.statistics import LabelStatistics

__all__ = ["METHODS", "balanced_sizes", "partition_labels", "random_partition"]

METHODS = {  # for each strategy its methods, the default first
    "cgp": ("normalised_cut", "published", "random"),
    "dgp": ("balanced_max_cut", "published", "random"),
    "random": ("random",),
}
RESTARTS = 4  # spectral clusterings of the published procedure, of which the best is taken


def partition_labels(
    statistics: LabelStatistics,
    strategy: str,
    num_parts: int,
    exponent: float,
    seed: int = 0,
    method: str | None = None,
    min_size: int = 2,
) -> Partition:
    """Cut the label graph of a strategy into parts, without building the graph object.

    Parameters
    ----------
    statistics
        Counts of labels and pairs.
    strategy, exponent
        As in `label_graph`.
    num_parts
        Number of parts K.
    seed
        Seed of the search; the same arguments and seed give the same partition.
    method
        ``"normalised_cut"`` for a co-occurrence graph: labels of a part occur together.
        ``"balanced_max_cut"`` for a dis-occurrence graph: labels of a part do not occur together.
        ``"published"``: the procedure of the paper's authors. ``"random"``: the control. None
        selects the default of the strategy. Part sizes of ``"balanced_max_cut"`` and ``"random"``
        differ by at most one.
    min_size
        Smallest number of labels in a part; the published procedure ignores it.

    Returns
    -------
    Partition
        Its strategy is the given one, or ``"random"`` for that method.

    Raises
    ------
    PartitionError
        If there are not enough labels for K parts of that size.
    ParameterError
        If the strategy is unknown, does not have the method, or the exponent is not positive.

    Notes
    -----
    For a dis-occurrence graph D = 1 − S the normalised cut is nearly flat, because D is nearly
    constant. With fixed part sizes the sum of S inside parts is not, and it alone decides our cut.
    The cut uses S with p = 1/2, whatever the exponent of the graph: dis-occurrence parts then
    separate what co-occurrence parts join. The exponent of the graph, 1/3 by default, is what the
    published procedure needs to find structure in D.

    Both our cuts therefore read S only. No dense C × C matrix is made for more than
    `cuts.DENSE_LABELS` labels, except by the published procedure.

    Examples
    --------
    >>> from mlic.labels.space import LabelSpace
    >>> from mlic.labels.statistics import count_labels
    >>> states = np.array([[1, 0, 1, 0], [0, 1, 0, 1]], dtype=np.int8)
    >>> counted = count_labels(states, LabelSpace(("sea", "cow", "boat", "field")))
    >>> partition_labels(counted, "cgp", num_parts=2, exponent=0.5).parts
    ((0, 2), (1, 3))
    """
    kind, method = graph_kind(strategy), _checked_method(strategy, method)
    require_exponent(exponent)
    space, rng = statistics.space, np.random.default_rng(seed)
    sizes = balanced_sizes(len(space), num_parts, 1 if method == "published" else min_size)
    if method == "random":
        return random_partition(space, sizes, seed)
    if num_parts == 1:
        membership = np.zeros(len(space), dtype=np.intp)  # needs no search
    elif method == "normalised_cut":
        weights = label_affinity(statistics, exponent)
        membership = normalised_cut(weights, num_parts, min_size, rng)
    elif method == "balanced_max_cut":
        # the exponent of the graph is for D, see the notes
        weights = label_affinity(statistics, COOCCURRENCE_EXPONENT)
        membership = balanced_max_cut(weights, num_parts, rng)
    else:
        membership = _published(affinity(statistics, kind, exponent), kind, num_parts, rng)
    parts = tuple(tuple(np.flatnonzero(membership == part).tolist()) for part in range(num_parts))
    return Partition(space, strategy, parts, exponent, seed)


def _checked_method(strategy: str, method: str | None) -> str:
    """Return the method, or the default of the strategy if it is None."""
    method = method or METHODS[strategy][0]
    if method not in METHODS[strategy]:
        raise ParameterError(
            f"method '{method}' does not cut a '{strategy}' graph: "
            f"use one of {', '.join(METHODS[strategy])}",
            parameter="method",
            value=method,
        )
    return method


def random_partition(space: LabelSpace, sizes: Sequence[int], seed: int = 0) -> Partition:
    """Assign labels at random to parts of given sizes: the control for every other partition.

    A `PartitionError` is raised if the sizes do not add up to the number of labels, or one is 0.
    """
    if sum(sizes) != len(space):
        raise PartitionError(
            f"random parts of sizes {list(sizes)} need {sum(sizes)} labels but there are "
            f"{len(space)}: choose sizes that add up to the number of labels",
            found=sum(sizes),
            expected=len(space),
        )
    # a permutation cut into pieces: every assignment with these sizes is equally likely
    order = np.random.default_rng(seed).permutation(len(space))
    parts = np.split(order, np.cumsum(sizes)[:-1])
    return Partition(space, "random", tuple(tuple(part.tolist()) for part in parts), seed=seed)


def balanced_sizes(num_labels: int, num_parts: int, min_size: int = 1) -> list[int]:
    """Return the sizes of parts that differ by at most one, largest first.

    A `PartitionError` is raised if there are too few labels for so many parts of the smallest size.

    Examples
    --------
    >>> balanced_sizes(8, 3, min_size=2)
    [3, 3, 2]
    """
    if num_parts < 1 or min_size < 1:
        raise PartitionError(
            f"{num_parts} parts of at least {min_size} labels are impossible: both numbers must be "
            "1 or more",
            value=(num_parts, min_size),
        )
    if num_parts * min_size > num_labels:
        most = num_labels // min_size
        advice = f"use at most {most} parts, or a smaller min_size"
        if num_labels == 1:
            advice = "one label cannot be divided; use partition.strategies=full_label"
        elif most == 0:
            advice = f"use a min_size of at most {num_labels}"
        raise PartitionError(
            f"{num_labels} labels are too few for {num_parts} parts of at least {min_size}: "
            f"{advice}",
            value=num_parts,
            expected=most,
        )
    size, rest = divmod(num_labels, num_parts)
    return [size + 1] * rest + [size] * (num_parts - rest)


def _published(
    weights: NDArray[np.float64], kind: str, num_parts: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Run spectral clusterings; take the best by the Calinski-Harabasz index of affinity rows."""
    if num_parts == len(weights):
        return np.arange(num_parts)
    # the authors' D = 1 − S has a unit diagonal
    rows = weights + np.eye(len(weights)) * (kind == "dis")
    if connected_components(rows, directed=False, return_labels=False) > 1:
        rows = rows + 1e-6  # the spectral embedding of a disconnected graph is not defined
    found = []
    for _ in range(RESTARTS):
        seed = int(rng.integers(2**31))
        model = SpectralClustering(num_parts, affinity="precomputed", n_init=20, random_state=seed)
        found.append(np.asarray(model.fit_predict(rows), dtype=np.intp))
    return max(found, key=lambda labels: float(calinski_harabasz_score(rows, labels)))

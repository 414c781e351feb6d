"""Label graphs: which labels occur together (co-occurrence), and which do not (dis-occurrence)."""

from __future__ import annotations

import math
from itertools import pairwise

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mlic.errors import ParameterError
from mlic.labels.co_occurrence import read_cells
from mlic.labels.statistics import LabelStatistics
from mlic.utils.suggestions import did_you_mean

__all__ = [
    "COOCCURRENCE_EXPONENT",
    "affinity",
    "graph_kind",
    "label_affinity",
    "label_graph",
    "require_exponent",
]

COOCCURRENCE_EXPONENT = 0.5  # exponent of S wherever partitions are compared or embedded
KINDS = {"cgp": "co", "dgp": "dis", "random": "co"}  # strategy -> kind of its graph
FULL_GRAPH_LABELS = 1000  # up to half a million edges, which networkx and JSON readers can handle
NEIGHBOURS = 50  # edges kept for each label: half a million edges for ten thousand labels
BLOCK_LABELS = 512  # labels processed at once, which limits the working memory


def label_affinity(statistics: LabelStatistics, exponent: float) -> sparse.csr_array:
    """Compute the co-occurrence affinity S of `affinity` without making it dense.

    Returns
    -------
    scipy.sparse.csr_array
        Symmetric, in (0, 1] for labels that occur together; shape (C, C), float64. It shares its
        index arrays with ``statistics.together``: copy it before changing it.
    """
    require_exponent(exponent)
    together, counts, hidden = statistics.together, statistics.counts, statistics.hidden
    data = np.empty(together.nnz)
    for start in range(0, len(counts), BLOCK_LABELS):
        ends = together.indptr[start : start + BLOCK_LABELS + 1]
        block = slice(ends[0], ends[-1])
        columns = together.indices[block]
        rows = start + np.repeat(np.arange(len(ends) - 1, dtype=columns.dtype), np.diff(ends))
        seen = together.data[block]
        first, second = counts[rows], counts[columns]
        if hidden.nnz:  # count only the images in which the other label is known
            first = first - read_cells(hidden, columns, rows)
            second = second - read_cells(hidden, rows, columns)
        data[block] = ((seen / second) ** exponent + (seen / first) ** exponent) / 2
    return sparse.csr_array((data, together.indices, together.indptr), shape=together.shape)


def graph_kind(strategy: str) -> str:
    """Return the kind of the graph of a strategy; an unknown strategy is a `ParameterError`."""
    if strategy not in KINDS:
        raise ParameterError(
            f"strategy '{strategy}' is unknown: {did_you_mean(strategy, KINDS)}"
            f"use one of {', '.join(KINDS)}",
            parameter="strategy",
            value=strategy,
        )
    return KINDS[strategy]


def require_exponent(exponent: float) -> None:
    """Raise a `ParameterError` if the exponent of a label graph is not finite and positive."""
    if not (math.isfinite(exponent) and exponent > 0):
        raise ParameterError(
            f"exponent {exponent} of the label graph must be above 0: try 0.5",
            parameter="exponent",
            value=exponent,
        )


def affinity(statistics: LabelStatistics, kind: str, exponent: float) -> NDArray[np.float64]:
    """Compute the affinity of every pair of labels, dense [1]_.

    With the conditional probabilities P[i, j] = P(i | j) and Q = P ** exponent, element by element,
    the affinity of the kind ``"co"`` is S = (Q + Qᵀ) / 2, high between labels that occur together;
    that of the kind ``"dis"`` is D = 1 − S. An exponent below 1 gives more weight to rare
    co-occurrences; one that is not positive, or another kind, is a `ParameterError`.

    Returns
    -------
    numpy.ndarray
        Symmetric, in [0, 1], zero diagonal; shape (C, C), float64.

    References
    ----------
    .. [1] "Parallel self-distillation" (CPSD), IJCAI 2022, arXiv:2205.10986.

    Examples
    --------
    >>> from mlic.labels.space import LabelSpace
    >>> from mlic.labels.statistics import count_labels
    >>> counted = count_labels(np.array([[1, 1], [1, 0]]), LabelSpace(("person", "tie")))
    >>> affinity(counted, "co", exponent=1.0)
    array([[0.  , 0.75],
           [0.75, 0.  ]])
    """
    if kind not in set(KINDS.values()):
        raise ParameterError(
            f"label graph kind '{kind}' is unknown: use 'co' or 'dis'", parameter="kind", value=kind
        )
    weights: NDArray[np.float64] = label_affinity(statistics, exponent).toarray()
    if kind == "dis":
        weights = 1.0 - weights
    np.fill_diagonal(weights, 0.0)
    return weights


def label_graph(statistics: LabelStatistics, strategy: str, exponent: float) -> nx.Graph[str]:
    """Build the label graph of a strategy, for inspection and for graph models.

    Parameters
    ----------
    statistics
        Counts of labels and pairs.
    strategy
        ``"cgp"`` (co-occurrence), ``"dgp"`` (dis-occurrence) or ``"random"`` (the control, over
        the co-occurrence graph).
    exponent
        As in `affinity`.

    Returns
    -------
    networkx.Graph
        Nodes are label names with ``count`` and ``index``; edges are the pairs of a weight above 0,
        with ``weight`` and ``cooccurrence``. Attributes of the graph are ``strategy``,
        ``exponent``, ``kind`` and ``neighbours``.

        With more than 1,000 labels only the strongest edges are kept: each label keeps the edges to
        the ``neighbours`` labels with the highest co-occurrence affinity, in a dis-occurrence graph
        too. Otherwise ``neighbours`` is None. `partition_labels` always cuts the full affinity.

    Raises
    ------
    ParameterError
        If the strategy is unknown or the exponent is not positive.

    Examples
    --------
    >>> from mlic.labels.space import LabelSpace
    >>> from mlic.labels.statistics import count_labels
    >>> counted = count_labels(np.array([[1, 1], [1, 0]]), LabelSpace(("person", "tie")))
    >>> label_graph(counted, "cgp", exponent=1.0).edges["person", "tie"]
    {'weight': 0.75, 'cooccurrence': 1}
    """
    kind, names = graph_kind(strategy), statistics.space.names
    similarity = label_affinity(statistics, exponent)
    neighbours = NEIGHBOURS if len(names) > FULL_GRAPH_LABELS else None
    graph: nx.Graph[str] = nx.Graph(
        strategy=strategy, exponent=float(exponent), kind=kind, neighbours=neighbours
    )
    for index, (name, count) in enumerate(zip(names, statistics.counts.tolist(), strict=True)):
        graph.add_node(name, count=count, index=index)
    first, second = _pairs(similarity, kind, neighbours)
    weights, together = (read_cells(m, first, second) for m in (similarity, statistics.together))
    if kind == "dis":
        weights = 1.0 - weights
    edges = zip(*(column.tolist() for column in (first, second, weights, together)), strict=True)
    graph.add_edges_from(
        (names[i], names[j], {"weight": weight, "cooccurrence": count})
        for i, j, weight, count in edges
        if weight > 0
    )
    return graph


def _pairs(
    similarity: sparse.csr_array, kind: str, neighbours: int | None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Select the pairs of labels i < j that are edges, in order."""
    size = similarity.shape[0]
    if kind == "dis" and neighbours is None:
        return np.triu_indices(size, k=1)
    joined = np.zeros(similarity.nnz, dtype=np.bool_)
    for start, end in pairwise(similarity.indptr.tolist()):
        # with `neighbours` None this selects the whole row
        joined[start + np.argsort(-similarity.data[start:end], kind="stable")[:neighbours]] = True
    rows = np.repeat(np.arange(size), np.diff(similarity.indptr))[joined]
    columns = similarity.indices[joined].astype(np.intp)
    # a pair that only one of its labels selected is an edge too
    pairs = np.unique(np.minimum(rows, columns) * size + np.maximum(rows, columns))
    first, second = np.divmod(pairs, size)
    return first, second

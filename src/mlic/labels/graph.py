"""Label graphs: which labels occur together (co-occurrence), and which do not (dis-occurrence)."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mlic.errors import ParameterError
from mlic.labels.statistics import LabelStatistics
from mlic.utils.suggestions import did_you_mean

__all__ = [
    "COOCCURRENCE_EXPONENT",
    "KINDS",
    "affinity",
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
    """Compute the sparse co-occurrence affinity S = (Q + Qᵀ) / 2, with Q as in `affinity`.

    Parameters
    ----------
    statistics
        Counts of labels and pairs.
    exponent
        As in `affinity`.

    Returns
    -------
    scipy.sparse.csr_array
        Symmetric, in (0, 1] for labels that occur together; shape (C, C), float64. It shares its
        index arrays with ``statistics.together``: copy it before changing it.

    Raises
    ------
    ParameterError
        If the exponent is not positive.

    Examples
    --------
    >>> from mlic.labels.space import LabelSpace
    >>> from mlic.labels.statistics import count_labels
    >>> counted = count_labels(np.array([[1, 1], [1, 0]]), LabelSpace(("person", "tie")))
    >>> label_affinity(counted, exponent=1.0)[0, 1]
    np.float64(0.75)
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
            first = first - _entries(hidden, columns, rows)
            second = second - _entries(hidden, rows, columns)
        data[block] = ((seen / second) ** exponent + (seen / first) ** exponent) / 2
    return sparse.csr_array((data, together.indices, together.indptr), shape=together.shape)


def require_exponent(exponent: float) -> None:
    """Check that the exponent of a label graph is finite and positive.

    Raises
    ------
    ParameterError
        If it is not.
    """
    if not (math.isfinite(exponent) and exponent > 0):
        raise ParameterError(
            f"exponent {exponent} of the label graph must be above 0: try 0.5",
            parameter="exponent",
            value=exponent,
        )


def affinity(statistics: LabelStatistics, kind: str, exponent: float) -> NDArray[np.float64]:
    """Compute the affinity of every pair of labels, dense [1]_.

    With the conditional probabilities P[i, j] = P(i | j) and Q = P ** exponent, element by element,
    the affinity is

    * ``"co"``: S = (Q + Qᵀ) / 2, high between labels that occur together;
    * ``"dis"``: D = 1 − S, high between labels that do not.

    Parameters
    ----------
    statistics
        Counts of labels and pairs.
    kind
        ``"co"`` or ``"dis"``.
    exponent
        Positive; an exponent below 1 gives more weight to rare co-occurrences.

    Returns
    -------
    numpy.ndarray
        Symmetric, in [0, 1], zero diagonal; shape (C, C), float64.

    Raises
    ------
    ParameterError
        If the kind is unknown or the exponent is not positive.

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
    """Build the graph of a strategy as a networkx graph, for inspection and for graph models.

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
        The nodes are label names with ``count`` and ``index``. The edges are the pairs whose
        weight is above 0, with ``weight`` and ``cooccurrence``. The graph has the attributes
        ``strategy``, ``exponent``, ``kind`` and ``neighbours``.

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
    if strategy not in KINDS:
        raise ParameterError(
            f"strategy '{strategy}' is unknown: {did_you_mean(strategy, KINDS)}"
            f"use one of {', '.join(KINDS)}",
            parameter="strategy",
            value=strategy,
        )
    kind, names = KINDS[strategy], statistics.space.names
    similarity = label_affinity(statistics, exponent)
    neighbours = NEIGHBOURS if len(names) > FULL_GRAPH_LABELS else None
    graph: nx.Graph[str] = nx.Graph(
        strategy=strategy, exponent=float(exponent), kind=kind, neighbours=neighbours
    )
    for index, (name, count) in enumerate(zip(names, statistics.counts.tolist(), strict=True)):
        graph.add_node(name, count=count, index=index)
    first, second = _pairs(similarity, kind, neighbours)
    weights = _entries(similarity, first, second)
    columns = {
        "weight": weights if kind == "co" else 1.0 - weights,
        "cooccurrence": _entries(statistics.together, first, second),
    }
    edges = zip(
        first.tolist(), second.tolist(), *(c.tolist() for c in columns.values()), strict=True
    )
    graph.add_edges_from(
        (names[i], names[j], dict(zip(columns, values, strict=True)))
        for i, j, *values in edges
        if values[0] > 0
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


def _entries(
    matrix: sparse.csr_array, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[Any]:
    """Read single cells of a sparse matrix."""
    if not len(rows):  # here SciPy would return a sparse array
        return np.zeros(0, dtype=matrix.dtype)
    return np.asarray(matrix[rows, columns])

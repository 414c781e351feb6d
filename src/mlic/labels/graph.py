"""Label graphs: labels that keep company (co-occurrence), and labels that do not."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
from scipy import sparse

from mlic.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlic.labels.statistics import LabelStatistics

__all__ = [
    "COMPANY_EXPONENT",
    "KINDS",
    "affinity",
    "label_affinity",
    "label_graph",
    "require_exponent",
]

COMPANY_EXPONENT = 0.5  # of S, the one yardstick of company, whatever a graph's own exponent
KINDS = {"cgp": "co", "dgp": "dis", "random": "co"}  # strategy -> kind of its graph
WHOLE_LABELS = 1000  # half a million edges: what networkx and a person's JSON reader take
NEIGHBOURS = 50  # so that ten thousand labels have half a million edges too
BLOCK_LABELS = 512  # bounds the working memory


def label_affinity(statistics: LabelStatistics, exponent: float) -> sparse.csr_array:
    """Company that labels keep, sparse: S = (Q + Qᵀ) / 2.

    Parameters
    ----------
    statistics
        Counts of labels and pairs.
    exponent
        As in `affinity`.

    Returns
    -------
    scipy.sparse.csr_array
        Symmetric, in (0, 1] where labels were seen together; shape (C, C), float64. It shares the
        places of ``statistics.together``: copy it before changing it.

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
        if hidden.nnz:
            first = first - _entries(hidden, columns, rows)
            second = second - _entries(hidden, rows, columns)
        data[block] = ((seen / second) ** exponent + (seen / first) ** exponent) / 2
    return sparse.csr_array((data, together.indices, together.indptr), shape=together.shape)


def require_exponent(exponent: float) -> None:
    """Refuse an exponent of a label graph that is not above 0.

    Raises
    ------
    ParameterError
        Saying so.
    """
    if not (math.isfinite(exponent) and exponent > 0):
        raise ParameterError(f"exponent {exponent} of the label graph must be above 0: try 0.5")


def affinity(statistics: LabelStatistics, kind: str, exponent: float) -> NDArray[np.float64]:
    """Affinity of every pair of labels, dense.

    With P the conditional probabilities and Q = P ** exponent, element by element,

    * ``"co"``: S = (Q + Qᵀ) / 2, high between labels that occur together;
    * ``"dis"``: D = 1 − S, high between labels that do not.

    Parameters
    ----------
    statistics
        Counts of labels and pairs.
    kind
        ``"co"`` or ``"dis"``.
    exponent
        Positive; below 1 it lifts rare company against frequent company.

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
        raise ParameterError(f"label graph kind '{kind}' is unknown: use 'co' or 'dis'")
    weights: NDArray[np.float64] = label_affinity(statistics, exponent).toarray()
    if kind == "dis":
        weights = 1.0 - weights
    np.fill_diagonal(weights, 0.0)
    return weights


def label_graph(statistics: LabelStatistics, strategy: str, exponent: float) -> nx.Graph[str]:
    """Build the graph that a strategy partitions, to look at and to reuse.

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
        Nodes are label names with ``count`` and ``index``; edges stand wherever the weight is
        above 0 and carry ``weight`` and ``cooccurrence``; the graph carries ``strategy``,
        ``exponent``, ``kind`` and ``neighbours``. That is None of a whole graph. A graph of more
        than 1,000 labels is too large to be kept whole: each label keeps the edges to the
        ``neighbours`` labels that it keeps most company with, in a dis-occurrence graph too, and
        pairs without an edge keep less. `partition_labels` cuts the whole affinity all the same.

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
        raise ParameterError(f"strategy '{strategy}' is unknown: use one of {', '.join(KINDS)}")
    kind, names = KINDS[strategy], statistics.space.names
    company = label_affinity(statistics, exponent)
    neighbours = NEIGHBOURS if len(names) > WHOLE_LABELS else None
    graph: nx.Graph[str] = nx.Graph(
        strategy=strategy, exponent=float(exponent), kind=kind, neighbours=neighbours
    )
    for index, (name, count) in enumerate(zip(names, statistics.counts.tolist(), strict=True)):
        graph.add_node(name, count=count, index=index)
    first, second = _pairs(company, kind, neighbours)
    weights = _entries(company, first, second)
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
    company: sparse.csr_array, kind: str, neighbours: int | None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of labels i < j that a graph joins, in order."""
    size = company.shape[0]
    if kind == "dis" and neighbours is None:
        return np.triu_indices(size, k=1)
    joined = np.zeros(company.nnz, dtype=np.bool_)
    for start, end in pairwise(company.indptr.tolist()):
        joined[start + np.argsort(-company.data[start:end], kind="stable")[:neighbours]] = True
    rows = np.repeat(np.arange(size), np.diff(company.indptr))[joined]
    columns = company.indices[joined].astype(np.intp)
    pairs = np.unique(np.minimum(rows, columns) * size + np.maximum(rows, columns))
    first, second = np.divmod(pairs, size)
    return first, second


def _entries(
    matrix: sparse.csr_array, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[Any]:
    if not matrix.nnz:
        return np.zeros(len(rows), dtype=matrix.dtype)
    return np.asarray(matrix[rows, columns])

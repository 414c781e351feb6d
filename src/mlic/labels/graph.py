"""Label graphs: labels that keep company (co-occurrence), and labels that do not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
from scipy import sparse

from mlic.errors import LabelError, ParameterError
from mlic.labels.space import LabelSpace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlic.labels.statistics import LabelStatistics

__all__ = [
    "COMPANY_EXPONENT",
    "KINDS",
    "affinity",
    "graph_affinity",
    "graph_company",
    "label_affinity",
    "label_graph",
]

COMPANY_EXPONENT = 0.5  # of S, the one yardstick of company, whatever a graph's own exponent
KINDS = {"cgp": "co", "dgp": "dis", "random": "co"}  # strategy -> kind of its graph
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
    >>> from mlic.labels.statistics import count_labels
    >>> counted = count_labels(np.array([[1, 1], [1, 0]]), LabelSpace(("person", "tie")))
    >>> label_affinity(counted, exponent=1.0)[0, 1]
    np.float64(0.75)
    """
    if not (math.isfinite(exponent) and exponent > 0):
        raise ParameterError(f"exponent {exponent} of the label graph must be above 0: try 0.5")
    together, counts, hidden = statistics.together, statistics.counts, statistics.hidden
    data = np.empty(together.nnz)
    for start in range(0, len(counts), BLOCK_LABELS):
        ends = together.indptr[start : start + BLOCK_LABELS + 1]
        block = slice(ends[0], ends[-1])
        columns = together.indices[block]
        rows = start + np.repeat(np.arange(len(ends) - 1, dtype=columns.dtype), np.diff(ends))
        forth = together.data[block] / (counts[columns] - _entries(hidden, rows, columns))
        back = together.data[block] / (counts[rows] - _entries(hidden, columns, rows))
        data[block] = (forth**exponent + back**exponent) / 2
    return sparse.csr_array((data, together.indices, together.indptr), shape=together.shape)


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
    """Build the graph that a strategy partitions.

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
        above 0 and carry ``weight``, ``cooccurrence`` and ``company``, which is S at p = 1/2
        whatever the exponent; the graph carries ``strategy``, ``exponent`` and ``kind``.

    Raises
    ------
    ParameterError
        If the strategy is unknown or the exponent is not positive.

    Examples
    --------
    >>> from mlic.labels.statistics import count_labels
    >>> counted = count_labels(np.array([[1, 1], [1, 0]]), LabelSpace(("person", "tie")))
    >>> label_graph(counted, "cgp", exponent=1.0).edges["person", "tie"]
    {'weight': 0.75, 'cooccurrence': 1, 'company': 0.8535533905932737}
    """
    if strategy not in KINDS:
        raise ParameterError(f"strategy '{strategy}' is unknown: use one of {', '.join(KINDS)}")
    kind = KINDS[strategy]
    weights = affinity(statistics, kind, exponent)
    graph: nx.Graph[str] = nx.Graph(strategy=strategy, exponent=float(exponent), kind=kind)
    names = statistics.space.names
    for index, (name, count) in enumerate(zip(names, statistics.counts.tolist(), strict=True)):
        graph.add_node(name, count=count, index=index)
    first, second = np.nonzero(np.triu(weights))
    columns = {
        "weight": weights[first, second].tolist(),
        "cooccurrence": statistics.cooccurrence[first, second].tolist(),
        "company": affinity(statistics, "co", COMPANY_EXPONENT)[first, second].tolist(),
    }
    edges = zip(first.tolist(), second.tolist(), *columns.values(), strict=True)
    graph.add_edges_from(
        (names[i], names[j], dict(zip(columns, values, strict=True))) for i, j, *values in edges
    )
    return graph


def graph_affinity(graph: nx.Graph[str]) -> tuple[LabelSpace, NDArray[np.float64]]:
    """Labels and affinity matrix of a label graph.

    Parameters
    ----------
    graph
        As made by `label_graph`, in any order of nodes.

    Returns
    -------
    space : LabelSpace
        The labels, by their ``index``.
    weights : numpy.ndarray
        Affinity, zero diagonal; shape (C, C), float64.

    Raises
    ------
    LabelError
        If the indices of the nodes are not 0 … C − 1.
    """
    names = _ordered_names(graph)
    weights = nx.to_numpy_array(graph, nodelist=names, dtype=np.dtype(np.float64))
    return LabelSpace(tuple(names)), weights


def graph_company(graph: nx.Graph[str]) -> NDArray[np.float64]:
    """Company that labels keep, S at p = 1/2, from a label graph of any kind and exponent.

    Parameters
    ----------
    graph
        As made by `label_graph`, in any order of nodes.

    Returns
    -------
    numpy.ndarray
        Zero diagonal, rows in the order of the labels' ``index``; shape (C, C), float64.

    Raises
    ------
    LabelError
        If the indices of the nodes are not 0 … C − 1, or an edge carries no company.

    Examples
    --------
    >>> from mlic.labels.statistics import count_labels
    >>> counted = count_labels(np.array([[1, 1], [1, 1]]), LabelSpace(("fork", "knife")))
    >>> graph = label_graph(counted, "dgp", exponent=1 / 3)
    >>> graph.number_of_edges(), graph_company(graph)[0, 1]
    (0, np.float64(1.0))
    """
    names = _ordered_names(graph)
    for first, second, values in graph.edges(data=True):
        if "company" not in values:
            raise LabelError(
                f"the edge '{first}' – '{second}' of the label graph carries no 'company': make "
                "the graph again with label_graph"
            )
    # two labels that are always together are no edge of a dis-occurrence graph
    apart = 1.0 if graph.graph["kind"] == "dis" else 0.0
    company: NDArray[np.float64] = nx.to_numpy_array(
        graph, nodelist=names, weight="company", nonedge=apart, dtype=np.dtype(np.float64)
    )
    np.fill_diagonal(company, 0.0)
    return company


def _entries(
    matrix: sparse.csr_array, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.int32] | int:
    return np.asarray(matrix[rows, columns]) if matrix.nnz else 0


def _ordered_names(graph: nx.Graph[str]) -> list[str]:
    indices = nx.get_node_attributes(graph, "index")
    if sorted(indices.values()) != list(range(len(graph))):
        raise LabelError(
            f"the label graph's {len(graph)} nodes do not carry the indices 0 to "
            f"{len(graph) - 1}: make the graph again with label_graph"
        )
    return sorted(indices, key=indices.__getitem__)

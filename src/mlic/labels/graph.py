"""Label graphs: labels that keep company (co-occurrence), and labels that do not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

from mlic.errors import LabelError, ParameterError
from mlic.labels.space import LabelSpace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlic.labels.statistics import LabelStatistics

__all__ = ["KINDS", "affinity", "graph_affinity", "label_graph"]

KINDS = {"cgp": "co", "dgp": "dis", "random": "co"}  # strategy -> kind of its graph


def affinity(statistics: LabelStatistics, kind: str, exponent: float) -> NDArray[np.float64]:
    """Affinity of every pair of labels.

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
    if not (math.isfinite(exponent) and exponent > 0):
        raise ParameterError(f"exponent {exponent} of the label graph must be above 0: try 0.5")
    powered = statistics.conditional**exponent
    weights: NDArray[np.float64] = (powered + powered.T) / 2
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
        Nodes are label names with ``count`` and ``index``; edges carry ``weight`` and
        ``cooccurrence``, and stand wherever the weight is above 0; the graph carries
        ``strategy``, ``exponent`` and ``kind``.

    Raises
    ------
    ParameterError
        If the strategy is unknown or the exponent is not positive.

    Examples
    --------
    >>> from mlic.labels.statistics import count_labels
    >>> counted = count_labels(np.array([[1, 1], [1, 0]]), LabelSpace(("person", "tie")))
    >>> label_graph(counted, "cgp", exponent=1.0).edges["person", "tie"]
    {'weight': 0.75, 'cooccurrence': 1}
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
    together = statistics.cooccurrence[first, second].tolist()
    columns = (first.tolist(), second.tolist(), weights[first, second].tolist(), together)
    graph.add_edges_from(
        (names[i], names[j], {"weight": weight, "cooccurrence": count})
        for i, j, weight, count in zip(*columns, strict=True)
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
    indices = nx.get_node_attributes(graph, "index")
    if sorted(indices.values()) != list(range(len(graph))):
        raise LabelError(
            f"the label graph's {len(graph)} nodes do not carry the indices 0 to "
            f"{len(graph) - 1}: make the graph again with label_graph"
        )
    names = sorted(indices, key=indices.__getitem__)
    weights = nx.to_numpy_array(graph, nodelist=names, dtype=np.dtype(np.float64))
    return LabelSpace(tuple(names)), weights

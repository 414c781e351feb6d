"""Everything known about the labels, as one object for whatever is built for these labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx

from mlic.labels.embeddings import LabelEmbeddings
from mlic.labels.space import LabelSpace
from mlic.labels.statistics import LabelStatistics

if TYPE_CHECKING:
    # Not imported at run time, so that a change of the partition code retrains nothing.
    from mlic.labels.partition import Partition

__all__ = ["LabelContext"]


@dataclass(frozen=True, eq=False)
class LabelContext:
    """What is known about a set of labels: statistics, graph, embeddings and partition.

    Model heads, losses and other components that need to know the labels receive this one object.
    A component that needs a member which is None must refuse it itself.

    Parameters
    ----------
    space
        The labels, in order.
    statistics
        Counts of labels and of pairs of labels.
    graph
        Label graph as `mlic.labels.graph.label_graph` builds it: one node for each label, in the
        order of the space.
    embeddings
        Vectors of the labels. They may cover more labels than the space, in any order; use
        ``embeddings.subset(space)`` to get one row for each label of the space.
    partition
        Partition of the labels into parts, one for each teacher.

    Raises
    ------
    LabelError
        If the statistics, the graph or the partition have other labels, or the same labels in
        another order; the message names the first difference. Also if the embeddings lack a label.

    Examples
    --------
    >>> import numpy as np
    >>> from mlic.labels.statistics import count_labels
    >>> space = LabelSpace(("sea", "boat", "cow"))
    >>> states = np.array([[1, 1, 0], [0, 0, 1]], dtype=np.int8)
    >>> context = LabelContext(space, statistics=count_labels(states, space))
    >>> context.num_labels, context.subset(LabelSpace(("cow",))).statistics.counts.tolist()
    (3, [1])
    """

    space: LabelSpace
    statistics: LabelStatistics | None = None
    graph: nx.Graph[str] | None = None
    embeddings: LabelEmbeddings | None = None
    partition: Partition | None = None

    def __post_init__(self) -> None:
        # a networkx graph iterates over its nodes in the order in which they were added
        members = {
            "the label statistics": None if self.statistics is None else self.statistics.space,
            "the label graph": None if self.graph is None else LabelSpace(tuple(self.graph)),
            "the partition": None if self.partition is None else self.partition.space,
        }
        for name, space in members.items():
            if space is not None:
                self.space.require_same(space, "the label context", name)
        # only checks that every label has an embedding; the order may differ
        if self.embeddings is not None:
            self.embeddings.space.indices(self.space.names)

    @property
    def num_labels(self) -> int:
        """Number of labels C."""
        return len(self.space)

    def subset(self, space: LabelSpace) -> LabelContext:
        """Restrict the context to some of its labels, in the order of the new space.

        The partition is dropped, because parts of a partition do not partition the rest.

        Parameters
        ----------
        space
            Labels of this context, in any order.

        Raises
        ------
        LabelError
            If a label is not in this context.
        """
        self.space.indices(space.names)
        return LabelContext(
            space,
            None if self.statistics is None else self.statistics.subset(space),
            None if self.graph is None else _subgraph(self.graph, space),
            None if self.embeddings is None else self.embeddings.subset(space),
        )


def _subgraph(graph: nx.Graph[str], space: LabelSpace) -> nx.Graph[str]:
    """Copy the graph of some labels; networkx's own subgraph keeps the order of the old nodes."""
    part: nx.Graph[str] = nx.Graph(**graph.graph)
    part.add_nodes_from(
        (name, graph.nodes[name] | {"index": i}) for i, name in enumerate(space.names)
    )
    # edges keep their attributes, which belong to pairs and not to the set of labels
    part.add_edges_from(graph.subgraph(space.names).edges(data=True))
    return part

"""Cosine head whose features are re-weighted by a network on the label graph."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import elu, leaky_relu

from mlic.labels.context import LabelContext
from mlic.labels.statistics import LabelStatistics
from mlic.losses._scale import Scale, require_scale, scale_for
from mlic.models.heads.base import Head, image_tokens, make_label_embedding
from mlic.models.heads.cosine import cosine_logits

__all__ = ["GraphCosineHead", "label_adjacency"]

log = logging.getLogger(__name__)

_SLOPE = 0.2  # of all leaky rectifiers
_WEIGHT = 0.25  # of a label's neighbours together, besides itself
Pooling = Literal["avg", "max", "avg+max"]


class GraphCosineHead(Head):
    """Cosine classifier on features that a label graph weights, channel by channel [1]_.

    Two graph layers turn the vectors of the labels into vectors of the features' length; the
    maximum over the labels, through a sigmoid, is one weight for each channel. It is the same for
    all images and positive, so that it commutes with pooling: `fold` makes it a constant, and
    inference costs what a cosine head costs.

    Parameters
    ----------
    num_features
        Channels of the feature map.
    context
        The labels, their training statistics, and their vectors, if any.
    label_dim
        Length of the learned label vectors where the context holds none.
    layer
        ``gcn``: graph convolution; ``gat``: graph attention with one head.
    pooling
        ``avg``, ``max``, or their sum, ``avg+max``.
    threshold
        Labels d with P(d | c) of at least this are neighbours of c.
    neighbours
        Instead of the threshold: number of neighbours of each label, those with the largest
        P(d | c).
    scale
        Factor of the cosines, as for the head ``cosine``.
    dropout
        Dropout rate of attention weights.

    Raises
    ------
    ValueError
        If an option is out of range.

    References
    ----------
    .. [1] Prokofiev and Sovrasov, "Combining metric learning and attention heads for accurate and
       efficient multilabel image classification", 2022, arXiv:2209.06585. The adjacency is that of
       Chen et al., "Multi-label image recognition with graph convolutional networks", CVPR 2019.

    Examples
    --------
    >>> from mlic.labels import LabelSpace
    >>> from mlic.labels.statistics import count_labels
    >>> space = LabelSpace(("cat", "dog"))
    >>> counts = count_labels(np.array([[1, 1], [1, 0]], dtype=np.int8), space)
    >>> head = GraphCosineHead(8, LabelContext(space, counts), label_dim=4)
    >>> head(torch.randn(2, 8, 4, 4)).shape
    torch.Size([2, 2])
    """

    pooled = False
    needs = frozenset({"embeddings", "statistics"})

    def __init__(
        self,
        num_features: int,
        context: LabelContext,
        label_dim: int = 300,
        layer: Literal["gcn", "gat"] = "gcn",
        pooling: Pooling = "avg",
        threshold: float = 0.4,
        neighbours: int | None = None,
        scale: Scale = "auto",
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        require_scale(scale)
        if layer not in _LAYERS or pooling not in _POOLINGS:
            raise ValueError(
                f"layer={layer!r} must be one of {', '.join(_LAYERS)}, and pooling={pooling!r} one "
                f"of {', '.join(_POOLINGS)}"
            )
        if not 0 < threshold <= 1 or (neighbours is not None and neighbours < 1):
            raise ValueError(
                f"threshold={threshold} must be in (0, 1], neighbours={neighbours} > 0"
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout} must be from 0 to below 1")
        size = context.num_labels
        self.num_features, self.pooling = num_features, pooling
        self.scale = scale_for(scale, size)
        self.vectors = make_label_embedding(context, label_dim)
        # A restored checkpoint has the adjacency itself, and no statistics.
        found = np.eye(size, dtype=np.float32)
        if context.statistics is not None:
            found = label_adjacency(context.statistics, threshold, neighbours)
            _log_neighbours(found)
        self.adjacency = nn.Buffer(torch.from_numpy(found))
        make = _LAYERS[layer]
        self.first = make(self.vectors.embedding_dim, num_features, dropout)
        self.second = make(num_features, num_features, dropout)
        self.weight = nn.Parameter(torch.empty(size, num_features))
        nn.init.normal_(self.weight, std=num_features**-0.5)

    @property
    def gate(self) -> torch.Tensor:
        """Weight of each channel, in (0, 1); shape (F,)."""
        nodes = leaky_relu(self.first(self.vectors.weight, self.adjacency), _SLOPE)
        nodes = leaky_relu(self.second(nodes, self.adjacency), _SLOPE)
        return nodes.amax(dim=0).sigmoid()

    def forward(self, features: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        """Compute logits of shape (B, C) from features that `image_tokens` accepts."""
        tokens = image_tokens(features, self.num_features) * self.gate
        return cosine_logits(_POOLINGS[self.pooling](tokens), self.weight, self.scale)

    def fold(self) -> Head:
        """Make a head with a constant gate, which gives the same logits."""
        return _FoldedHead(self)


def _log_neighbours(adjacency: NDArray[np.float32]) -> None:
    """Log how many labels get anything from others: of COCO's 80, 23 at the usual threshold."""
    links = (adjacency > 0) & ~np.eye(len(adjacency), dtype=bool)
    alone = int((~links.any(axis=1)).sum())
    if alone:
        log.log(
            logging.WARNING if 2 * alone > len(adjacency) else logging.INFO,
            "label graph: %d of %d labels get nothing from any other label; "
            "model.head_options.neighbours gives every label some",
            alone,
            len(adjacency),
        )


class _FoldedHead(Head):
    """A graph head whose gate is a constant that is multiplied into the label vectors' input."""

    pooled = False

    def __init__(self, head: GraphCosineHead) -> None:
        super().__init__()
        self.num_features, self.pooling, self.scale = head.num_features, head.pooling, head.scale
        self.gate = nn.Buffer(head.gate.detach().clone())
        self.weight = nn.Buffer(head.weight.detach().clone())

    def forward(self, features: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        """Compute logits of shape (B, C) from features that `image_tokens` accepts."""
        # The gate is positive, so that it may follow the pooling: one product for each channel.
        pooled = _POOLINGS[self.pooling](image_tokens(features, self.num_features))
        return cosine_logits(pooled * self.gate, self.weight, self.scale)


class _GraphConvolution(nn.Module):
    """``Â X W`` without a bias."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)

    def forward(self, nodes: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = adjacency @ self.linear(nodes)
        return found


class _GraphAttention(nn.Module):
    """Attention of each node to its neighbours (Veličković et al., ICLR 2018), with one head."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        nn.init.xavier_uniform_(self.linear.weight, gain=2**0.5)
        self.source, self.target = (nn.Linear(outputs, 1, bias=False) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, nodes: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
        hidden = self.linear(nodes)
        scores = leaky_relu(self.source(hidden) + self.target(hidden).T, _SLOPE)
        shares = scores.masked_fill(adjacency <= 0, -torch.inf).softmax(dim=1)
        return elu(self.dropout(shares) @ hidden)


_LAYERS: dict[str, Callable[[int, int, float], nn.Module]] = {
    "gcn": _GraphConvolution,
    "gat": _GraphAttention,
}
_POOLINGS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "avg": lambda tokens: tokens.mean(dim=1),
    "max": lambda tokens: tokens.amax(dim=1),
    "avg+max": lambda tokens: tokens.mean(dim=1) + tokens.amax(dim=1),
}


def label_adjacency(
    statistics: LabelStatistics, threshold: float = 0.4, neighbours: int | None = None
) -> NDArray[np.float32]:
    """Adjacency of labels: thresholded, re-weighted and normalised as in ML-GCN.

    The conditional probabilities are those of images, each counted once, however many objects of a
    label it has.

    Parameters
    ----------
    statistics
        Counts of the training labels.
    threshold
        Smallest P(d | c) of a neighbour d of c.
    neighbours
        Instead of the threshold: number of neighbours of each label.

    Returns
    -------
    numpy.ndarray
        ``D^{-1/2} Aᵀ D^{-1/2}`` with ``A = B / (4 · column sums of B) + I``; float32, shape (C, C).

    Examples
    --------
    >>> from mlic.labels import LabelSpace
    >>> from mlic.labels.statistics import count_labels
    >>> states = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=np.int8)
    >>> counts = count_labels(states, LabelSpace(("cat", "dog", "sofa")))
    >>> print(label_adjacency(counts).round(2))
    [[0.8 0.2 0. ]
     [0.2 0.8 0. ]
     [0.  0.  1. ]]
    """
    given = statistics.conditional.T  # row c: P(d | c)
    if neighbours is None:
        chosen = given >= threshold
    else:
        order = np.argsort(-given, axis=1, kind="stable")[:, :neighbours]
        chosen = np.zeros(given.shape, dtype=bool)
        np.put_along_axis(chosen, order, True, axis=1)
        chosen &= given > 0
    np.fill_diagonal(chosen, False)
    links = chosen.astype(np.float64)
    weighted = _WEIGHT * links / (links.sum(axis=0) + 1e-6) + np.eye(len(links))
    root = weighted.sum(axis=1) ** -0.5
    return np.asarray(root[:, None] * weighted.T * root, dtype=np.float32)

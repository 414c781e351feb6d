"""ML-Decoder: a few queries attend to the image, and each yields the logits of several labels."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn.functional import normalize, relu

from mlic.labels.context import LabelContext
from mlic.losses._scale import Scale, require_scale, scale_for
from mlic.models.heads.base import Head, image_tokens, map_attention, require_sizes, token_grid

__all__ = ["MlDecoderHead"]


class MlDecoderHead(Head):
    """Decoder with group queries, whose cost hardly depends on the number of labels [1]_.

    Queries attend to the positions of the image, not to each other. With up to `queries` labels
    each label has a query; with more, a query yields the logits of a group of labels that follow
    each other. The logits may be scaled cosines plus a bias [2]_, for the loss
    ``angular_asymmetric``.

    Parameters
    ----------
    num_features
        Channels of the backbone's features.
    context
        The labels, one logit each.
    width
        Width of the tokens.
    queries
        Largest number of queries.
    heads
        Number of attention heads; they divide the width.
    feedforward
        Width inside the feed-forward block.
    dropout
        Dropout rate.
    learned_queries
        Whether the queries are trained; the published ones are random and fixed.
    scale
        Factor of the cosines, a number or ``auto`` as for the head ``cosine``; None: plain logits.

    Raises
    ------
    ValueError
        If an option has the wrong type or is out of range.

    References
    ----------
    .. [1] Ridnik et al., "ML-Decoder: scalable and versatile classification head", WACV 2023,
       arXiv:2111.12933.
    .. [2] Prokofiev and Sovrasov, "Combining metric learning and attention heads for accurate and
       efficient multilabel image classification", 2022, arXiv:2209.06585.

    Examples
    --------
    >>> from mlic.labels import LabelSpace
    >>> context = LabelContext(LabelSpace(tuple("abcde")))
    >>> head = MlDecoderHead(8, context, width=16, queries=2, feedforward=16)
    >>> head(torch.zeros(3, 8, 4, 4)).shape
    torch.Size([3, 5])
    """

    pooled = False

    def __init__(
        self,
        num_features: int,
        context: LabelContext,
        width: int = 768,
        queries: int = 100,
        heads: int = 8,
        feedforward: int = 2048,
        dropout: float = 0.1,
        learned_queries: bool = False,
        scale: Scale | None = None,
    ) -> None:
        super().__init__()
        require_sizes(
            heads=heads, width=width, dropout=dropout, queries=queries, feedforward=feedforward
        )
        self.num_features, self.num_labels = num_features, context.num_labels
        if scale is not None:
            require_scale(scale)
            scale = scale_for(scale, self.num_labels)
        self.scale = scale
        number = min(self.num_labels, queries)
        self.project = nn.Linear(num_features, width)
        start = torch.empty(number, width).normal_()
        self.queries: torch.Tensor = nn.Parameter(start) if learned_queries else nn.Buffer(start)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.attend = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.feedforward = nn.Sequential(
            *(nn.Linear(width, feedforward), nn.ReLU(), nn.Dropout(dropout)),
            nn.Linear(feedforward, width),
        )
        self.dropout = nn.Dropout(dropout)
        # One matrix for each query: width × labels of its group.
        self.groups = nn.Parameter(torch.empty(number, width, math.ceil(self.num_labels / number)))
        nn.init.xavier_normal_(self.groups)
        self.bias = nn.Parameter(torch.zeros(self.num_labels))

    def forward(self, features: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        """Compute logits of shape (B, C) from features that `image_tokens` accepts."""
        memory = self._project(features)
        queries = self._first_queries(memory)
        found = self.attend(queries, memory, memory, need_weights=False)[0]
        hidden = self.norms[1](queries + self.dropout(found))
        hidden = self.norms[2](hidden + self.dropout(self.feedforward(hidden)))
        if self.scale is None:
            return self._read(hidden, self.groups) + self.bias
        # In half precision a cosine has few digits, which the scale multiplies.
        with torch.autocast(hidden.device.type, enabled=False):
            directions = normalize(hidden.float(), dim=2), normalize(self.groups.float(), dim=1)
            logits: torch.Tensor = self.scale * (self._read(*directions) + self.bias)
        return logits

    def attention(self, features: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        """Compute how strongly the query of each label attends to each location.

        The result is the mean over attention heads; shape (B, C, H, W). Labels of one group share
        a map. Features are those of `forward`.
        """
        memory = self._project(features)
        skip, sides = token_grid(features, self.num_features)
        queries = self._first_queries(memory)
        maps = map_attention(self.attend, queries, memory, memory, sides, skip)
        return maps.repeat_interleave(self.groups.shape[2], dim=1)[:, : self.num_labels]

    def _project(self, features: torch.Tensor) -> torch.Tensor:
        return relu(self.project(image_tokens(features, self.num_features)))

    def _first_queries(self, memory: torch.Tensor) -> torch.Tensor:
        """Queries before the attention, as in the published layer without self-attention."""
        queries = self.queries.expand(memory.shape[0], -1, -1)
        normed: torch.Tensor = self.norms[0](queries + self.dropout(queries))
        return normed

    def _read(self, hidden: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
        """Multiply each query by the matrix of its own group; shape (B, C)."""
        found: Any = torch.einsum("bqd,qdr->bqr", hidden, groups)
        # The last group may have more columns than labels.
        logits: torch.Tensor = found.flatten(1)[:, : self.num_labels]
        return logits

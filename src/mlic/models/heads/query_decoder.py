"""Query2Label: one learned query for each label attends to the feature map."""

from __future__ import annotations

import math

import torch
from torch import nn

from mlic.labels.context import LabelContext
from mlic.models.heads.base import Head, flatten_map, map_attention, require_sizes

__all__ = ["QueryDecoderHead", "sine_code"]


def sine_code(height: int, width: int, channels: int) -> torch.Tensor:
    """Encode the position of every location of a map by sines and cosines of its row and column.

    With y = 2π · row / height, rows counted from 1, the first half of the channels holds, pair by
    pair, sin(y / 10000^(4i / channels)) and the cosine of the same; the second half holds the
    same for the columns. Positions are relative to the sides, so that maps of different sizes have
    the same code at corresponding locations.

    The result is float32 in [−1, 1], shape (height · width, channels), row by row; `channels` is a
    multiple of 4. Source: Carion et al., "End-to-end object detection with transformers", 2020.

    Examples
    --------
    >>> sine_code(1, 2, 4)[:, 3].tolist()  # cosines of the columns' π and 2π
    [-1.0, 1.0]
    """
    pairs = channels // 4
    frequencies = 10000.0 ** -(torch.arange(pairs) / pairs)
    rows, columns = (_waves(size, frequencies) for size in (height, width))
    grid = [
        rows[:, None].expand(height, width, 2 * pairs),
        columns[None].expand(height, width, 2 * pairs),
    ]
    return torch.cat(grid, dim=2).flatten(0, 1)


def _waves(size: int, frequencies: torch.Tensor) -> torch.Tensor:
    """Sines and cosines, alternating, along one side; shape (size, 2 · len(frequencies))."""
    angles = 2 * math.pi * torch.arange(1, size + 1)[:, None] / size * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


class _AttentionLayer(nn.Module):
    """Post-norm transformer layer: attention to a memory, then a feed-forward block.

    With its own tokens as memory it is an encoder layer; with another memory it is a decoder layer
    without self-attention. Position codes are added to queries and keys, not to values.
    """

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.norm_attention = nn.LayerNorm(width)
        self.feedforward = nn.Sequential(
            nn.Linear(width, feedforward),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(feedforward, width),
            nn.Dropout(dropout),
        )
        self.norm_feedforward = nn.LayerNorm(width)
        for weights in self.parameters():
            if weights.ndim > 1:  # the initialisation of DETR
                nn.init.xavier_uniform_(weights)

    def forward(
        self,
        tokens: torch.Tensor,
        code: torch.Tensor,
        memory: torch.Tensor,
        memory_code: torch.Tensor,
    ) -> torch.Tensor:
        attended, _ = self.attention(
            tokens + code, memory + memory_code, memory, need_weights=False
        )
        tokens = self.norm_attention(tokens + self.dropout(attended))
        passed: torch.Tensor = self.norm_feedforward(tokens + self.feedforward(tokens))
        return passed


class QueryDecoderHead(Head):
    """Query2Label: an encoder over the locations, a decoder from label queries to locations.

    A post-norm encoder lets the locations of the feature map attend to each other; then the
    learned query of each label attends to the locations. Queries do not attend to each other, so
    that the logit of a label depends on no other label. The logit is the group-wise linear map of
    Query2Label [1]_: each label has its own weight vector and bias for its own token. The defaults
    are the sizes that PSD [2]_ trained.

    Parameters
    ----------
    num_features
        Channels of the feature map; a linear map changes them to `width` if they differ.
    context
        The labels, one logit each.
    width
        Width of the tokens; a multiple of 4.
    encoder_layers, decoder_layers, heads
        Number of layers, and of attention heads in each; the heads divide `width` among them.
    feedforward
        Width inside the feed-forward blocks.
    dropout
        Dropout rate in every layer.

    Raises
    ------
    ValueError
        If an option has the wrong type or is out of range.

    References
    ----------
    .. [1] Liu et al., "Query2Label: a simple transformer way to multi-label classification",
       2021, arXiv:2107.10834.
    .. [2] "Parallel self-distillation" (CPSD), IJCAI 2022, arXiv:2205.10986.

    Examples
    --------
    >>> from mlic.labels import LabelSpace
    >>> context = LabelContext(LabelSpace(("cat", "dog", "sofa")))
    >>> head = QueryDecoderHead(8, context, width=16, feedforward=16)
    >>> head(torch.zeros(2, 8, 4, 4)).shape
    torch.Size([2, 3])
    """

    pooled = False

    def __init__(
        self,
        num_features: int,
        context: LabelContext,
        width: int = 2048,
        encoder_layers: int = 1,
        decoder_layers: int = 2,
        heads: int = 4,
        feedforward: int = 8192,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        require_sizes(
            heads=heads,
            width=width,
            dropout=dropout,
            encoder_layers=encoder_layers,
            decoder_layers=decoder_layers,
            feedforward=feedforward,
        )
        if width % 4:
            raise ValueError(f"width={width} must be a multiple of 4, as the position code needs")
        self.num_features, self.width = num_features, width
        same = num_features == width
        self.project = nn.Identity() if same else nn.Linear(num_features, width)
        # The order of construction decides the random initial weights.
        sizes = (width, heads, feedforward, dropout)
        self.encoder = nn.ModuleList(_AttentionLayer(*sizes) for _ in range(encoder_layers))
        self.decoder = nn.ModuleList(_AttentionLayer(*sizes) for _ in range(decoder_layers))
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Embedding(context.num_labels, width)
        # only row c is applied to the token of label c, so this is never called as a layer
        self.classify = nn.Linear(width, context.num_labels)

    def forward(self, features: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        """Compute logits of shape (B, C) from a map of shape (B, F, H, W); `known` is ignored."""
        memory, code = self._encode(features)
        labels = self._decode(memory, code, len(self.decoder))
        # row c of the weights for token c: the diagonal of what the linear layer would compute
        logits: torch.Tensor = (self.norm(labels) * self.classify.weight).sum(2)
        return logits + self.classify.bias

    def attention(self, features: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        """Compute how strongly each label attends to each location in the last decoder layer.

        The result is the mean over attention heads, which sums to 1 over the locations; shape
        (B, C, H, W). Features are those of `forward`.
        """
        # The fused attention of `forward` gives no weights, so the last layer is computed again.
        memory, code = self._encode(features)
        labels = self._decode(memory, code, len(self.decoder) - 1)
        last = self.decoder[-1]
        assert isinstance(last, _AttentionLayer)
        queries = labels + self.queries.weight
        return map_attention(last.attention, queries, memory + code, memory, features.shape[2:])

    def _encode(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Encoded locations, shape (B, H · W, width), and their position code."""
        # The code depends on the map's size, so that images of any size can be given.
        memory = self.project(flatten_map(features, self.num_features))
        code = sine_code(features.shape[2], features.shape[3], self.width).to(memory)
        for layer in self.encoder:
            memory = layer(memory, code, memory, code)
        return memory, code

    def _decode(self, memory: torch.Tensor, code: torch.Tensor, layers: int) -> torch.Tensor:
        """Label tokens after the first `layers` decoder layers; shape (B, C, width)."""
        # As in DETR, tokens start at zero, and the learned queries are added in every layer.
        queries = self.queries.weight
        labels = torch.zeros_like(queries).expand(memory.shape[0], -1, -1)
        for layer in self.decoder[:layers]:
            labels = layer(labels, queries, memory, code)
        return labels

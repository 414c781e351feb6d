"""One learnt query a label asks the places of the feature map: Query2Label."""

from __future__ import annotations

import math

import torch
from torch import nn

from mlic.models.heads._common import flatten_map, map_attention, require_sizes

__all__ = ["QueryDecoderHead", "sine_code"]


def sine_code(height: int, width: int, channels: int) -> torch.Tensor:
    """Code of every place of a map by sines and cosines of its row and its column.

    With y = 2π · row / height, rows counted from 1, the first half of the channels holds, pair by
    pair, sin(y / 10000^(4i / channels)) and the cosine of the same; the second half holds the
    same of the columns. Scaled so, maps of two sizes have alike codes at alike places.

    Parameters
    ----------
    height, width
        Of the map.
    channels
        Of the code; a multiple of 4.

    Returns
    -------
    torch.Tensor
        In [−1, 1], float32; shape (height · width, channels), row by row.

    References
    ----------
    .. [1] Carion et al., "End-to-end object detection with transformers", ECCV 2020.

    Examples
    --------
    >>> sine_code(1, 2, 4)[:, 3].tolist()  # cosines of the columns' π and 2π
    [-1.0, 1.0]
    """
    pairs = channels // 4
    speeds = 10000.0 ** -(torch.arange(pairs) / pairs)
    rows, columns = (_waves(size, speeds) for size in (height, width))
    grid = [
        rows[:, None].expand(height, width, 2 * pairs),
        columns[None].expand(height, width, 2 * pairs),
    ]
    return torch.cat(grid, dim=2).flatten(0, 1)


def _waves(size: int, speeds: torch.Tensor) -> torch.Tensor:
    """Sine and cosine, by turns, along one side; shape (size, 2 · len(speeds))."""
    angles = 2 * math.pi * torch.arange(1, size + 1)[:, None] / size * speeds
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


class _AttentionLayer(nn.Module):
    """Post-norm transformer layer: attention to a memory, then a feed-forward block.

    Attending to itself it is an encoder's layer; to something else, a decoder's without
    self-attention. Codes are added to what is compared, not to what is passed on.
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
            if weights.ndim > 1:  # as DETR starts its layers
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


class QueryDecoderHead(nn.Module):
    """Query2Label: encoder over the places, decoder from labels to places, a logit a query.

    A post-norm encoder lets the places of the feature map attend to each other; then every
    label's learnt query collects from them what it needs. Queries do not attend to each other,
    so that a label's logit depends on no other label. The logit is the group-wise linear map of
    Query2Label [1]_: one weight vector and bias a label, for its own token only. The sizes that
    PSD [2]_ trained are the defaults.

    Parameters
    ----------
    num_features
        Channels of the feature map; brought to `width` by a linear map where they differ.
    num_labels
        Number of logits.
    width
        Width of the tokens; a multiple of 4.
    encoder_layers, decoder_layers, heads
        Layers, and attention heads in each; `width` is shared out among the heads.
    feedforward
        Width inside the feed-forward blocks.
    dropout
        Share dropped in training, in every layer.

    Raises
    ------
    ValueError
        If an option is of another type or out of range.

    References
    ----------
    .. [1] Liu et al., "Query2Label: a simple transformer way to multi-label classification",
       2021, arXiv:2107.10834.
    .. [2] "Parallel self-distillation" (CPSD), IJCAI 2022, arXiv:2205.10986.

    Examples
    --------
    >>> head = QueryDecoderHead(8, 3, width=16, feedforward=16)
    >>> head(torch.zeros(2, 8, 4, 4), None).shape
    torch.Size([2, 3])
    """

    pooled = False

    def __init__(
        self,
        num_features: int,
        num_labels: int,
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
        self.embed_places = nn.Identity() if same else nn.Linear(num_features, width)
        sizes = (width, heads, feedforward, dropout)
        self.encoder = nn.ModuleList(_AttentionLayer(*sizes) for _ in range(encoder_layers))
        self.decoder = nn.ModuleList(_AttentionLayer(*sizes) for _ in range(decoder_layers))
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Embedding(num_labels, width)
        self.classify = nn.Linear(width, num_labels)  # used row by row, never as a whole

    def forward(self, features: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
        """Logits of shape (B, num_labels) of a map of shape (B, F, H, W); `known` is not used."""
        memory, code = self._encode(features)
        labels = self._decode(memory, code, len(self.decoder))
        logits: torch.Tensor = (self.norm(labels) * self.classify.weight).sum(2)
        return logits + self.classify.bias

    def attention(self, features: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
        """How much each label looks at each place, in the last decoder layer.

        Parameters
        ----------
        features
            As in `forward`; shape (B, F, H, W).
        known
            Not used.

        Returns
        -------
        torch.Tensor
            Mean over attention heads; 1 in sum over the places; shape (B, num_labels, H, W).
        """
        memory, code = self._encode(features)
        labels = self._decode(memory, code, len(self.decoder) - 1)
        last = self.decoder[-1]
        assert isinstance(last, _AttentionLayer)
        asked = labels + self.queries.weight
        return map_attention(last.attention, asked, memory + code, memory, features.shape[2:])

    def _encode(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Places after the encoder, shape (B, H · W, width), and their code."""
        memory = self.embed_places(flatten_map(features, self.num_features))
        code = sine_code(features.shape[2], features.shape[3], self.width).to(memory)
        for layer in self.encoder:
            memory = layer(memory, code, memory, code)
        return memory, code

    def _decode(self, memory: torch.Tensor, code: torch.Tensor, layers: int) -> torch.Tensor:
        """Label tokens after some decoder layers; shape (B, C, width)."""
        queries = self.queries.weight
        labels = torch.zeros_like(queries).expand(len(memory), -1, -1)
        for layer in self.decoder[:layers]:
            labels = layer(labels, queries, memory, code)
        return labels

"""C-Tran: image and label tokens in one encoder, where label tokens carry states already known."""

from __future__ import annotations

import math

import torch
from torch import nn

from mlic.labels.context import LabelContext
from mlic.models.heads.base import Head, image_tokens, map_attention, require_sizes, token_grid

__all__ = ["CTranHead"]


class CTranHead(Head):
    """Classification transformer (C-Tran) [1]_, which uses the labels that are already known.

    Every position of the image and every label is a token. A label's token is its embedding plus
    the embedding of its state: present, absent, or unknown, which is the zero vector and stays so.
    In post-norm encoder layers all tokens attend to all; each label then has its own weight vector
    and bias for its own token. The logits of labels that are known are not trained: whoever uses
    them must take the known states instead.

    Parameters
    ----------
    num_features
        Channels of the backbone's features.
    context
        The labels, one logit each.
    width
        Width of the tokens; a linear map changes the channels to it if they differ. None: as many
        as the backbone has channels, as published.
    layers, heads
        Number of encoder layers, and of attention heads in each; the heads divide the width.
    feedforward
        Width inside the feed-forward blocks; None: the width of the tokens, as published.
    dropout
        Dropout rate in every layer.

    Raises
    ------
    ValueError
        If an option has the wrong type or is out of range.

    References
    ----------
    .. [1] Lanchantin et al., "General multi-label image classification with transformers", CVPR
       2021, arXiv:2011.14027.

    Examples
    --------
    >>> from mlic.labels import LabelSpace
    >>> context = LabelContext(LabelSpace(("fork", "knife", "sofa")))
    >>> head = CTranHead(8, context, width=16)
    >>> known = torch.tensor([[1, -1, -1], [-1, -1, 0]])  # a fork; no sofa
    >>> head(torch.zeros(2, 8, 4, 4), known).shape
    torch.Size([2, 3])
    """

    pooled = False
    uses_known = True

    def __init__(
        self,
        num_features: int,
        context: LabelContext,
        width: int | None = None,
        layers: int = 3,
        heads: int = 4,
        feedforward: int | None = None,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        width = num_features if width is None else width
        feedforward = width if feedforward is None else feedforward
        require_sizes(
            heads=heads, width=width, dropout=dropout, layers=layers, feedforward=feedforward
        )
        self.num_features, self.num_labels = num_features, context.num_labels
        same = num_features == width
        self.project = nn.Identity() if same else nn.Linear(num_features, width)
        self.labels = nn.Embedding(self.num_labels, width)
        # Rows: unknown, absent, present. `padding_idx` keeps the first at zero.
        self.states = nn.Embedding(3, width, padding_idx=0)
        self.norm = nn.LayerNorm(width)
        # nn.TransformerEncoder would copy one layer, so that all start from the same weights
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, feedforward, dropout, batch_first=True)
            for _ in range(layers)
        )
        # only row c is applied to the token of label c, so this is never called as a layer
        self.classify = nn.Linear(width, self.num_labels)
        self._initialise(1 / math.sqrt(width))

    def _initialise(self, bound: float) -> None:
        """Draw embeddings and biases as published; linear layers have this range already."""
        nn.init.uniform_(self.labels.weight, -bound, bound)
        with torch.no_grad():
            nn.init.uniform_(self.states.weight[1:], -bound, bound)
        for layer in self.layers:
            assert isinstance(layer, nn.TransformerEncoderLayer)
            nn.init.uniform_(layer.self_attn.out_proj.bias, -bound, bound)

    def forward(self, features: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        """Compute logits of shape (B, C) from features that `image_tokens` accepts.

        `known` are states, shape (B, C): 1 present, 0 absent, −1 unknown. None: nothing is known.
        """
        labels = self._encode(features, known, len(self.layers))[:, -self.num_labels :]
        # row c of the weights for token c: the diagonal of what the linear layer would compute
        logits: torch.Tensor = (labels * self.classify.weight).sum(2) + self.classify.bias
        return logits

    def attention(self, features: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        """Compute how strongly each label attends to each location in the last layer.

        The result is the mean over attention heads, in [0, 1], shape (B, C, H, W); its sum over the
        locations is below 1, because labels attend to labels too. Arguments are those of `forward`.
        """
        tokens = self._encode(features, known, len(self.layers) - 1)
        skip, sides = token_grid(features, self.num_features)
        last = self.layers[-1]
        assert isinstance(last, nn.TransformerEncoderLayer)
        labels = tokens[:, -self.num_labels :]
        return map_attention(last.self_attn, labels, tokens, tokens, sides, skip)

    def _encode(
        self, features: torch.Tensor, known: torch.Tensor | None, layers: int
    ) -> torch.Tensor:
        """Image tokens, then labels, after the first `layers` layers; shape (B, N + C, width)."""
        positions = self.project(image_tokens(features, self.num_features))
        labels = self.labels.weight.expand(positions.shape[0], -1, -1)
        if known is not None:
            labels = labels + self.states(known.long() + 1)
        tokens: torch.Tensor = self.norm(torch.cat([positions, labels], dim=1))
        for layer in self.layers[:layers]:
            tokens = layer(tokens)
        return tokens

"""Label tokens attend to the image's locations and to each other in a transformer encoder."""

from __future__ import annotations

import torch
from torch import nn

from mlic.labels.context import LabelContext
from mlic.models.heads.base import (
    Head,
    flatten_map,
    make_label_embedding,
    map_attention,
    require_sizes,
)

__all__ = ["TransformerEncoderHead"]


class TransformerEncoderHead(Head):
    """Transformer encoder over locations and labels, with one classifier shared by all labels.

    Every location of the feature map and every label is a token; in pre-norm encoder layers [1]_
    all tokens attend to all; one linear map turns each label's token into its logit. Only the label
    embeddings depend on the number of labels. There is no position code: the locations are a set.
    This is the head "101tf" of PSD [2]_, with its sizes as defaults.

    Parameters
    ----------
    num_features
        Channels of the feature map.
    context
        The labels, one logit each. Its embeddings, if any, become the label tokens and are not
        trained.
    label_dim
        Length of the learned label embeddings where the context holds none.
    width
        Width of the tokens.
    layers, heads
        Number of encoder layers, and of attention heads in each; the heads divide `width`.
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
    .. [1] Xiong et al., "On layer normalization in the transformer architecture", ICML 2020.
    .. [2] "Parallel self-distillation" (CPSD), IJCAI 2022, arXiv:2205.10986.

    Examples
    --------
    >>> from mlic.labels import LabelSpace
    >>> context = LabelContext(LabelSpace(("cat", "dog", "sofa")))
    >>> head = TransformerEncoderHead(8, context, width=16, feedforward=16)
    >>> head(torch.zeros(2, 8, 4, 4)).shape
    torch.Size([2, 3])
    """

    pooled = False
    needs = frozenset({"embeddings"})

    def __init__(
        self,
        num_features: int,
        context: LabelContext,
        label_dim: int = 300,
        width: int = 1024,
        layers: int = 3,
        heads: int = 4,
        feedforward: int = 1024,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        require_sizes(
            heads=heads, width=width, dropout=dropout, layers=layers, feedforward=feedforward
        )
        self.embeddings = make_label_embedding(context, label_dim)
        self.project = nn.Linear(num_features, width)
        # ReLU on the labels alone, as in PSD's release
        self.embed_labels = nn.Sequential(
            nn.Linear(self.embeddings.embedding_dim, width), nn.ReLU()
        )
        # nn.TransformerEncoder would copy one layer, so that all start from the same weights
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, feedforward, dropout, batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        # one for all labels, so that only the embeddings depend on their number
        self.classify = nn.Linear(width, 1)

    def forward(self, features: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        """Compute logits of shape (B, C) from a map of shape (B, F, H, W); `known` is ignored."""
        tokens = self._encode(features, len(self.layers))
        logits: torch.Tensor = self.classify(self._labels_of(tokens))
        return logits.squeeze(2)

    def attention(self, features: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        """Compute how strongly each label attends to each location in the last layer.

        The result is the mean over attention heads, in [0, 1], shape (B, C, H, W); its sum over the
        locations is below 1, because labels attend to labels too. Features are those of `forward`.
        """
        last = self.layers[-1]
        assert isinstance(last, nn.TransformerEncoderLayer)
        # pre-norm: a layer's attention sees normalised tokens
        tokens = last.norm1(self._encode(features, len(self.layers) - 1))
        labels = self._labels_of(tokens)
        return map_attention(last.self_attn, labels, tokens, tokens, features.shape[2:])

    def _encode(self, features: torch.Tensor, layers: int) -> torch.Tensor:
        """Locations, then labels, after the first `layers` layers; shape (B, H · W + C, width)."""
        locations = self.project(flatten_map(features, self.project.in_features))
        labels = self.embed_labels(self.embeddings.weight).expand(features.shape[0], -1, -1)
        tokens = torch.cat([locations, labels], dim=1)
        for layer in self.layers[:layers]:
            tokens = layer(tokens)
        return tokens

    def _labels_of(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens[:, -self.embeddings.num_embeddings :]

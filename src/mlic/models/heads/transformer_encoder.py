"""Label tokens read the image's places, and each other, in a transformer encoder."""

from __future__ import annotations

import torch
from torch import nn

from mlic.models.heads._common import flatten_map, map_attention, require_sizes

__all__ = ["TransformerEncoderHead"]


class TransformerEncoderHead(nn.Module):
    """Transformer encoder over places and labels, with one classifier for all labels.

    Every place of the feature map and every label is a token; pre-norm encoder layers [1]_ let
    all tokens attend to all; one linear map turns each label's token into its logit. No weight
    but the label embeddings depends on the number of labels. There is no position code: the map
    counts as a set of places. This is the head "101tf" of PSD [2]_, with its sizes as defaults.

    Parameters
    ----------
    num_features
        Channels of the feature map.
    num_labels
        Number of logits.
    embeddings
        What the label tokens are made of, a row a label; without it 300 random numbers a label,
        learnt.
    width
        Width of the tokens.
    layers, heads
        Encoder layers, and attention heads in each; `width` is shared out among the heads.
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
    .. [1] Xiong et al., "On layer normalization in the transformer architecture", ICML 2020.
    .. [2] "Parallel self-distillation" (CPSD), IJCAI 2022, arXiv:2205.10986.

    Examples
    --------
    >>> head = TransformerEncoderHead(8, 3, width=16, feedforward=16)
    >>> head(torch.zeros(2, 8, 4, 4), None).shape
    torch.Size([2, 3])
    """

    pooled = False
    embedded = True

    def __init__(
        self,
        num_features: int,
        num_labels: int,
        embeddings: nn.Embedding | None = None,
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
        self.embeddings = nn.Embedding(num_labels, 300) if embeddings is None else embeddings
        self.embed_places = nn.Linear(num_features, width)
        self.embed_labels = nn.Sequential(
            nn.Linear(self.embeddings.embedding_dim, width), nn.ReLU()
        )
        # not nn.TransformerEncoder, which starts all its layers from the same weights
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, feedforward, dropout, batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.classify = nn.Linear(width, 1)

    def forward(self, features: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
        """Logits of shape (B, num_labels) of a map of shape (B, F, H, W); `known` is not used."""
        tokens = self._encode(features, len(self.layers))
        logits: torch.Tensor = self.classify(self._labels_of(tokens))
        return logits.squeeze(2)

    def attention(self, features: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
        """How much each label looks at each place, in the last layer.

        Parameters
        ----------
        features
            As in `forward`; shape (B, F, H, W).
        known
            Not used.

        Returns
        -------
        torch.Tensor
            Mean over attention heads, in [0, 1]; what is missing from a sum of 1 over the places
            goes to the labels; shape (B, num_labels, H, W).
        """
        last = self.layers[-1]
        assert isinstance(last, nn.TransformerEncoderLayer)
        tokens = last.norm1(self._encode(features, len(self.layers) - 1))
        labels = self._labels_of(tokens)
        return map_attention(last.self_attn, labels, tokens, tokens, features.shape[2:])

    def _encode(self, features: torch.Tensor, layers: int) -> torch.Tensor:
        """All places, then all labels, after some layers; shape (B, H · W + C, width)."""
        places = self.embed_places(flatten_map(features, self.embed_places.in_features))
        labels = self.embed_labels(self.embeddings.weight).expand(len(features), -1, -1)
        tokens = torch.cat([places, labels], dim=1)
        for layer in self.layers[:layers]:
            tokens = layer(tokens)
        return tokens

    def _labels_of(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens[:, -self.embeddings.num_embeddings :]

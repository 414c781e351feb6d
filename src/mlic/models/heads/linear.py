"""One linear map from pooled features to logits."""

from __future__ import annotations

import torch
from torch import nn

from mlic.labels.context import LabelContext
from mlic.models.heads.base import Head

__all__ = ["LinearHead"]


class LinearHead(Head):
    """Linear classifier on pooled features, as in any standard multi-label model.

    Parameters
    ----------
    num_features
        Number of pooled features.
    context
        The labels, one logit each.
    dropout
        Share of features that are dropped in training.

    Examples
    --------
    >>> from mlic.labels import LabelSpace
    >>> context = LabelContext(LabelSpace(("cat", "dog", "sofa")))
    >>> LinearHead(8, context)(torch.zeros(2, 8)).shape
    torch.Size([2, 3])
    """

    pooled = True

    def __init__(self, num_features: int, context: LabelContext, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(num_features, context.num_labels)

    def forward(self, features: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        """Compute logits of shape (B, C); `known` is ignored."""
        logits: torch.Tensor = self.linear(self.dropout(features))
        return logits

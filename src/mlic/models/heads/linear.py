"""One linear map from pooled features to logits."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["LinearHead"]


class LinearHead(nn.Module):
    """Linear classifier, as every plain multi-label model has it.

    Parameters
    ----------
    num_features
        Width of the pooled features.
    num_labels
        Number of logits.
    dropout
        Share of features dropped in training.

    Examples
    --------
    >>> LinearHead(8, 3)(torch.zeros(2, 8), None).shape
    torch.Size([2, 3])
    """

    pooled = True

    def __init__(self, num_features: int, num_labels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(num_features, num_labels)

    def forward(self, features: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
        """Logits of shape (B, num_labels); known labels are of no use to this head."""
        logits: torch.Tensor = self.linear(self.dropout(features))
        return logits

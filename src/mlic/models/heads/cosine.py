"""Scaled cosine between pooled features and one vector for each label."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import linear, normalize

from mlic.labels.context import LabelContext
from mlic.losses._scale import Scale, require_scale, scale_for
from mlic.models.heads.base import Head

__all__ = ["CosineHead", "cosine_logits"]


class CosineHead(Head):
    """Cosine classifier: ``scale · cos(features, label vector)``, without a bias [1]_.

    A label counts as present where the cosine is positive. It is meant for the loss
    ``angular_asymmetric``, with the same scale, and works with any other.

    Parameters
    ----------
    num_features
        Number of pooled features.
    context
        The labels, one logit each.
    scale
        Factor of the cosines; ``auto``: √5 · ln(K − 1) for K labels, between 7 and 30.

    Raises
    ------
    ValueError
        If the scale is neither a number above 0 nor ``auto``.

    References
    ----------
    .. [1] Prokofiev and Sovrasov, "Combining metric learning and attention heads for accurate and
       efficient multilabel image classification", 2022, arXiv:2209.06585.

    Examples
    --------
    >>> from mlic.labels import LabelSpace
    >>> head = CosineHead(8, LabelContext(LabelSpace(("cat", "dog"))), scale=20)
    >>> bool((head(100 * torch.randn(5, 8)).abs() <= 20).all())
    True
    """

    pooled = True

    def __init__(self, num_features: int, context: LabelContext, scale: Scale = "auto") -> None:
        super().__init__()
        require_scale(scale)
        self.scale = scale_for(scale, context.num_labels)
        self.weight = nn.Parameter(torch.empty(context.num_labels, num_features))
        # Only the directions matter; normal vectors have directions that are uniform.
        nn.init.normal_(self.weight, std=num_features**-0.5)

    def forward(self, features: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        """Compute logits of shape (B, C), between −scale and scale; `known` is ignored."""
        return cosine_logits(features, self.weight, self.scale)


def cosine_logits(features: torch.Tensor, weight: torch.Tensor, scale: float) -> torch.Tensor:
    """Compute scaled cosines of features (B, F) and label vectors (C, F); shape (B, C), float32."""
    if torch.is_autocast_enabled(features.device.type):
        # In bfloat16 a cosine has an error of 1/256, which the scale multiplies.
        with torch.autocast(features.device.type, enabled=False):
            return cosine_logits(features, weight, scale)
    cosines = linear(normalize(features.float(), dim=1), normalize(weight.float(), dim=1))
    return scale * cosines.clamp(-1, 1)

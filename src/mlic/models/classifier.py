"""A backbone and a head as one model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from mlic.models.backbone import build_backbone, normalisation, out_of_the_head
from mlic.models.options import HEADS
from mlic.plugins import build_plugin

if TYPE_CHECKING:
    from mlic.models.options import ModelOptions

__all__ = ["MultiLabelClassifier", "build_classifier"]


class MultiLabelClassifier(nn.Module):
    """From normalised pictures to one logit a label.

    Parameters
    ----------
    backbone
        A timm model without classifier.
    head
        One of `mlic.models.heads`.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        """Logits.

        Parameters
        ----------
        images
            Normalised pictures; shape (B, 3, H, W).
        known
            Label states already known (1, 0, −1); shape (B, C). Heads may ignore them.

        Returns
        -------
        torch.Tensor
            Shape (B, C).
        """
        features = self.backbone.forward_features(images)  # type: ignore[operator]
        if self.head.pooled:
            features = out_of_the_head(self.backbone, features)
        logits: torch.Tensor = self.head(features, known)
        return logits

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation the backbone expects."""
        return normalisation(self.backbone)


def build_classifier(
    options: ModelOptions, num_labels: int, load_weights: bool = True
) -> MultiLabelClassifier:
    """Build backbone and head from options.

    Examples
    --------
    >>> from mlic.models.options import ModelOptions
    >>> model = build_classifier(ModelOptions(backbone="test_resnet"), num_labels=3)
    >>> model(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 3])
    """
    backbone = build_backbone(options, load_weights)
    width = backbone.head_hidden_size
    head = build_plugin(HEADS, options.head, options.head_options, width, num_labels)
    return MultiLabelClassifier(backbone, head)

"""Calibrated probabilities as a torch module."""

from __future__ import annotations

import torch
from torch import nn

from mlic.training.calibration import Calibration
from mlic.training.objective import build_chosen_loss

__all__ = ["CalibratedOutput"]


class CalibratedOutput(nn.Module):
    """Link of a loss, affine map of each label, sigmoid."""

    def __init__(self, calibration: Calibration) -> None:
        super().__init__()
        self.loss = build_chosen_loss(calibration.loss)
        self.slopes = nn.Buffer(torch.tensor(calibration.slopes))
        self.biases = nn.Buffer(torch.tensor(calibration.biases))

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        """Compute probabilities; shape (B, C)."""
        return (self.loss.link(logits) * self.slopes + self.biases).sigmoid()

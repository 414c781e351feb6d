"""Calibrated probabilities as a torch module."""

from __future__ import annotations

import torch
from torch import nn

from mlic.training.calibration import Calibration
from mlic.training.objective import build_chosen_loss

__all__ = ["CalibratedOutput"]


class CalibratedOutput(nn.Module):
    """Link of a loss, affine map of each label, influence of known labels, sigmoid."""

    def __init__(self, calibration: Calibration) -> None:
        super().__init__()
        self.loss = build_chosen_loss(calibration.loss)
        self.slopes = nn.Buffer(torch.tensor(calibration.slopes))
        self.biases = nn.Buffer(torch.tensor(calibration.biases))
        self.refiner = calibration.refiner
        if self.refiner is not None:
            self.influence = nn.Buffer(torch.tensor(self.refiner.influence, dtype=torch.float32))

    def forward(self, logits: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        """Compute probabilities; shape (B, C), as that of the known states."""
        odds = self.loss.link(logits) * self.slopes + self.biases
        if known is None:
            return odds.sigmoid()
        if self.refiner is not None:
            p = odds.sigmoid()
            surprise = self.refiner.present * (known == 1) * (1 - p)
            surprise = surprise - self.refiner.absent * (known == 0) * p
            odds = odds + surprise @ self.influence.T
        return torch.where(known >= 0, known.to(odds.dtype), odds.sigmoid())

"""Binary cross-entropy for each label."""

from __future__ import annotations

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from mlic.errors import ParameterError
from mlic.losses.base import Loss

__all__ = ["BinaryCrossEntropy"]


class BinaryCrossEntropy(Loss):
    """Binary cross-entropy on logits.

    Parameters
    ----------
    smoothing
        Label smoothing in [0, 1): targets become ``smoothing / 2`` and ``1 − smoothing / 2``.
        Another value is a `ParameterError`.

    Examples
    --------
    >>> BinaryCrossEntropy()(torch.zeros(1, 2), torch.tensor([[1, -1]])).tolist()
    [[0.6931471824645996, 0.0]]
    """

    def __init__(self, smoothing: float = 0.0) -> None:
        if not 0 <= smoothing < 1:
            raise ParameterError(f"binary cross-entropy: smoothing={smoothing} must be in [0, 1)")
        self.smoothing = smoothing

    def __call__(self, logits: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """Compute one term for each image and label; see `Loss`."""
        targets = (states == 1).float() * (1 - self.smoothing) + self.smoothing / 2
        loss = binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")
        # unknown states took part as absent ones; here their terms, and gradients, become zero
        return loss * (states >= 0)

    def link(self, logits: torch.Tensor) -> torch.Tensor:
        """Compute the log-odds that a logit means: the logit itself, unless labels are smoothed."""
        return super().link(logits) if self.smoothing else logits

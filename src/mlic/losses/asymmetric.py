"""Asymmetric loss (Ben-Baruch et al., ICCV 2021, arXiv 2009.14119) in a safe form."""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid

from mlic.errors import ParameterError

__all__ = ["AsymmetricLoss"]


class AsymmetricLoss:
    """Focus on negatives that are hard, and forget those that are easy (equations 4 to 7).

    ``L₊ = −(1 − p)^γ₊ log p`` and ``L₋ = −p_m^γ₋ log(1 − p_m)`` with ``p_m = max(p − m, 0)``.
    The focusing weights carry no gradient, as in the published recipe of PSD. Logarithms are
    taken from the logit in float32, so that a confidently missed positive keeps its gradient.

    Parameters
    ----------
    gamma_negative, gamma_positive
        Focusing exponents γ₋ and γ₊, at least 0.
    clip
        Probability margin m in [0, 1).

    Raises
    ------
    ParameterError
        If one of them is out of range.

    Examples
    --------
    >>> loss = AsymmetricLoss()
    >>> logits = torch.tensor([[-80.0, 3.0, 0.0]], requires_grad=True)
    >>> loss(logits, torch.tensor([[1, 1, -1]])).sum().backward()
    >>> logits.grad[0].tolist()[0], logits.grad[0].tolist()[2]
    (-1.0, 0.0)
    """

    def __init__(
        self, gamma_negative: float = 4.0, gamma_positive: float = 0.0, clip: float = 0.05
    ) -> None:
        if min(gamma_negative, gamma_positive) < 0 or not 0 <= clip < 1:
            raise ParameterError(
                f"asymmetric loss: gamma_negative={gamma_negative} and gamma_positive="
                f"{gamma_positive} must be at least 0, clip={clip} in [0, 1)"
            )
        self.gamma_negative = gamma_negative
        self.gamma_positive = gamma_positive
        self.clip = clip

    def __call__(self, logits: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """One term a cell; shape (B, C), float32, zero where the state is −1."""
        z = logits.float()
        return torch.where(states == 1, self._positive(z), self._negative(z)) * (states >= 0)

    def _positive(self, z: torch.Tensor) -> torch.Tensor:
        loss = -logsigmoid(z)
        if self.gamma_positive:
            loss = loss * torch.sigmoid(-z.detach()) ** self.gamma_positive
        return loss

    def _negative(self, z: torch.Tensor) -> torch.Tensor:
        if self.clip:  # 1 − p_m is at least m, so the logarithm is safe
            loss = -torch.log1p(-(torch.sigmoid(z) - self.clip).clamp(min=0))
        else:
            loss = -logsigmoid(-z)
        if self.gamma_negative:
            shifted = (torch.sigmoid(z.detach()) - self.clip).clamp(min=0)
            loss = loss * shifted**self.gamma_negative
        return loss

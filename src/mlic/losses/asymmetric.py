"""Asymmetric loss (Ben-Baruch et al., ICCV 2021, arXiv 2009.14119) in a safe form."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from mlic.errors import ParameterError

__all__ = ["AsymmetricLoss"]

_BLOCK = 3 << 13  # cells whose terms stay in the processor's cache: 256 x 5000 take 2/3 of the time
_BOUND = 60.0  # past it log p is the logit itself, and p nears the end of float32


class AsymmetricLoss:
    """Focus on negatives that are hard, and forget those that are easy (equations 4 to 7).

    ``L₊ = −(1 − p)^γ₊ log p`` and ``L₋ = −p_m^γ₋ log(1 − p_m)`` with ``p_m = max(p − m, 0)``.
    The focusing weights carry no gradient, as in the published recipe of PSD. Logarithms are
    taken from the logit in float32, so that a confidently missed positive keeps its gradient.
    The gradient is known in closed form and is made in the forward pass, from the same terms.

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
        cells: torch.Tensor = _Cells.apply(logits, states, self)  # type: ignore[no-untyped-call]
        return cells

    def _terms(
        self, logits: torch.Tensor, states: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and gradient of every cell, in place where it can be."""
        z, positive = logits.float(), states == 1
        bounded = z.clamp(-_BOUND, _BOUND)
        p, q = torch.sigmoid(bounded), torch.sigmoid(-bounded)
        weights = self._weights(p, q, positive).mul_(states >= 0)
        right = torch.where(positive, p, (q + self.clip).clamp_(max=1))  # p, or 1 − p_m
        slope = p.mul_(q).div_(right).mul_(weights)
        slope = torch.where(positive, -slope, slope)
        # with a margin the loss of negatives is bounded; what they get here, their weight undoes
        beyond = -_BOUND - z if self.clip else torch.where(positive, -z, z).sub_(_BOUND)
        return beyond.relu_().sub_(right.log_()).mul_(weights), slope

    def _weights(self, p: torch.Tensor, q: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
        """Focusing weights, as if every state were known."""
        negative = _power((p - self.clip).relu_(), self.gamma_negative)
        if not self.gamma_positive:
            return negative.masked_fill_(positive, 1)
        return torch.where(positive, _power(q, self.gamma_positive), negative)


class _Cells(torch.autograd.Function):
    """Terms of the loss; the backward pass is one product with their slopes."""

    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, states: torch.Tensor, loss: AsymmetricLoss
    ) -> torch.Tensor:
        size = _BLOCK if logits.device.type == "cpu" else max(logits.numel(), 1)
        parts = (torch.split(cells.reshape(-1), size) for cells in (logits, states))
        blocks = zip(*parts, strict=True)
        terms, slopes = zip(*(loss._terms(*block) for block in blocks), strict=True)
        ctx.save_for_backward(torch.cat(slopes).view_as(logits))
        ctx.dtype = logits.dtype
        return torch.cat(terms).view_as(logits)

    @staticmethod
    @once_differentiable  # type: ignore[misc]
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return (gradient * slope).to(ctx.dtype), None, None


def _power(base: torch.Tensor, exponent: float) -> torch.Tensor:
    """Power in which 0⁰ is 0: what lies within the margin is forgotten whatever the exponent."""
    if exponent == 4:  # the usual one; torch has no quick way to it
        return base.square().square_()
    return base**exponent if exponent else (base > 0).to(base.dtype)

"""Asymmetric loss (Ben-Baruch et al., ICCV 2021, arXiv 2009.14119) in a safe form."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from mlic.errors import ParameterError

__all__ = ["AsymmetricLoss"]

_BLOCK = 1 << 16  # cells a thread whose terms stay in the processor's cache
_BOUND = 60.0  # past it log p is the logit itself, and p nears the end of float32


class AsymmetricLoss:
    """Focus on negatives that are hard, and forget those that are easy (equations 4 to 7).

    ``L₊ = −(1 − p)^γ₊ log p`` and ``L₋ = −p_m^γ₋ log(1 − p_m)`` with ``p_m = max(p − m, 0)``.
    The focusing weights carry no gradient, as in the published recipe of PSD. Logarithms are
    taken from the logit in float32, so that a confidently missed positive keeps its gradient.
    The gradient is known in closed form and is made in the forward pass, from the same terms;
    nothing is chosen cell by cell, for masks are slower than products on a processor.

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
    >>> logits.grad[0, 0].item(), logits.grad[0, 2].item() == 0
    (-1.0, True)
    """

    def __init__(
        self, gamma_negative: float = 4.0, gamma_positive: float = 0.0, clip: float = 0.05
    ) -> None:
        if min(gamma_negative, gamma_positive) < 0 or not 0 <= clip < 1:
            raise ParameterError(
                f"asymmetric loss: gamma_negative={gamma_negative} and gamma_positive="
                f"{gamma_positive} must be at least 0, clip={clip} in [0, 1)"
            )
        self._terms: Callable[..., tuple[torch.Tensor, torch.Tensor]] = partial(
            _terms, gamma_negative=gamma_negative, gamma_positive=gamma_positive, clip=clip
        )
        self._blocks = True

    def compile(self) -> None:
        """Make one kernel of all that is done to a cell, from the next call on."""
        self._terms = torch.compile(self._terms)
        self._blocks = False

    def __call__(self, logits: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """One term a cell; shape (B, C), float32, zero where the state is −1."""
        cells: torch.Tensor = _Cells.apply(logits, states, self)  # type: ignore[no-untyped-call]
        return cells

    def _of_all(
        self, logits: torch.Tensor, states: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and slope of every cell, in blocks that the processor keeps in its cache."""
        size = _BLOCK * torch.get_num_threads()
        if not self._blocks or logits.device.type != "cpu" or logits.numel() <= size:
            # compiled, the conversion of whole numbers would be the slowest part
            return self._terms(logits, states.float())
        rows = max(size * len(logits) // logits.numel(), 1)
        blocks = zip(*(torch.split(part, rows) for part in (logits, states)), strict=True)
        terms, slopes = zip(*(self._terms(z, s.float()) for z, s in blocks), strict=True)
        return torch.cat(terms), torch.cat(slopes)


class _Cells(torch.autograd.Function):
    """Terms of the loss; the backward pass is one product with their slopes."""

    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, states: torch.Tensor, loss: AsymmetricLoss
    ) -> torch.Tensor:
        terms, slopes = loss._of_all(logits.detach(), states)
        ctx.save_for_backward(slopes)
        return terms

    @staticmethod
    @once_differentiable  # type: ignore[misc]
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (slopes,) = ctx.saved_tensors
        return gradient * slopes, None, None  # autograd gives it the type of the logits


def _terms(
    logits: torch.Tensor,
    states: torch.Tensor,
    gamma_negative: float,
    gamma_positive: float,
    clip: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of every cell and its slope; states are floats."""
    z = logits.float()
    positive, negative = states.relu(), 1 - states.abs()
    sign = positive - negative  # 0 where the state is unknown
    toward = z * sign
    p = toward.clamp(min=-_BOUND).sigmoid_()  # probability of the state that is true
    right = torch.add(p, negative, alpha=clip).clamp_(max=1)  # p, or 1 − p_m
    missing = 1 - right
    weights = torch.addcmul(
        positive * missing**gamma_positive if gamma_positive else positive,
        negative,
        _power(missing, gamma_negative),
    )
    slopes = (p - 1).mul_(p).div_(right).mul_(weights).mul_(sign)
    # with a margin the loss of negatives is bounded; what they get here, their weight undoes
    beyond = (-_BOUND - (z if clip else toward)).relu_()
    return beyond.sub_(right.log_()).mul_(weights), slopes


def _power(base: torch.Tensor, exponent: float) -> torch.Tensor:
    """Power in which 0⁰ is 0: what lies within the margin is forgotten whatever the exponent."""
    if exponent == 4:  # the usual one; torch has no quick way to it
        return base.square().square_()
    return base**exponent if exponent else (base > 0).to(base.dtype)

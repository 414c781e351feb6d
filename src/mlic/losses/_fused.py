"""Losses whose terms and derivatives are computed together, element by element."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mlic.losses.base import Loss

__all__ = ["FusedLoss"]

# terms of one thread's block; their intermediate results fit into the processor's cache
_BLOCK = 1 << 16


class FusedLoss(Loss):
    """Element-wise loss that states its own derivative, so that no intermediate result is kept."""

    def __init__(self) -> None:
        self._terms: Callable[..., tuple[Tensor, Tensor]] = self.terms
        self._uses_blocks = True

    @abstractmethod
    def terms(self, logits: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """Compute terms and their derivatives with respect to the logits; states are floats."""

    def compile(self) -> None:
        """Compile all element-wise operations into one kernel, from the next call on."""
        self._terms = torch.compile(self.terms)
        self._uses_blocks = False

    def __call__(self, logits: Tensor, states: Tensor) -> Tensor:
        """Compute one term for each image and label; see `Loss`."""
        terms: Tensor = _Terms.apply(logits, states, self)  # type: ignore[no-untyped-call]
        return terms

    def compute_terms(self, logits: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """Compute terms and derivatives for all logits, in blocks that fit into the cache."""
        dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
        size = _BLOCK * torch.get_num_threads()
        if not self._uses_blocks or logits.device.type != "cpu" or logits.numel() <= size:
            # states are converted outside: in a compiled kernel that would be the slowest part
            return self._terms(logits, states.to(dtype))
        # whole rows, so that each block lies together in memory
        rows = max(size * len(logits) // logits.numel(), 1)
        blocks = zip(*(torch.split(part, rows) for part in (logits, states)), strict=True)
        terms, slopes = zip(*(self._terms(z, s.to(dtype)) for z, s in blocks), strict=True)
        return torch.cat(terms), torch.cat(slopes)


class _Terms(torch.autograd.Function):
    """Terms of the loss; their derivatives are computed with them, from the same results."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, states: Tensor, loss: FusedLoss) -> Tensor:
        terms, slopes = loss.compute_terms(logits.detach(), states)
        ctx.save_for_backward(slopes)  # one array instead of every intermediate result
        return terms

    @staticmethod
    @once_differentiable  # type: ignore[misc]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (slopes,) = ctx.saved_tensors
        return gradient * slopes, None, None  # autograd casts it to the logits' dtype

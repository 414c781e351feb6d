"""Sharpness-aware minimisation (SAM): the gradient at the worst point nearby."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["frozen_statistics", "sharpen_gradient"]


def sharpen_gradient(model: nn.Module, radius: float, backward: Callable[[], None]) -> None:
    r"""Replace the gradient of a model by that at :math:`w + \rho\, g / \lVert g \rVert` [1]_.

    The weights are what they were afterwards, also if the second pass overflows or fails; batch
    norms count the batch once. A gradient that is not finite, as after an overflow in 16 bits, is
    left as it is: the gradient scaler skips such a step.

    Parameters
    ----------
    model
        Model whose parameters have the gradient g of a batch.
    radius
        The radius ρ, above 0.
    backward
        Computes the loss of the same batch, and its gradient.

    References
    ----------
    .. [1] Foret et al., "Sharpness-aware minimization for efficiently improving generalization",
       ICLR 2021, arXiv:2010.01412, algorithm 1.
    """
    moved = [p for p in model.parameters() if p.grad is not None]
    gradients = [p.grad for p in moved if p.grad is not None]
    if not moved:
        return
    norm = torch.stack([g.norm() for g in gradients]).norm()
    if not norm.isfinite() or not norm:
        return
    # Copies, because what is added and subtracted again is not exactly what it was.
    before = [p.detach().clone() for p in moved]
    with torch.no_grad():
        for parameter, gradient in zip(moved, gradients, strict=True):
            parameter.add_(gradient * (radius / norm))
            parameter.grad = None
    try:
        with frozen_statistics(model):
            backward()
    finally:
        with torch.no_grad():
            for parameter, value in zip(moved, before, strict=True):
                parameter.copy_(value)


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Keep the running statistics of all batch norms as they are."""
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0  # of the new batch, none
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked = norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, (momentum, counter) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counter

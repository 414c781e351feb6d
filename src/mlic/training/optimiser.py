"""Optimiser and schedule of one training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mlic.errors import TrainingError

if TYPE_CHECKING:
    from mlic.training.options import TrainingOptions

__all__ = ["count_batches", "make_optimiser", "one_cycle"]


def count_batches(num_images: int, batch_size: int) -> int:
    """Batches an epoch, without a last one of a single image: batch norm cannot learn from it.

    Examples
    --------
    >>> count_batches(33, 16), count_batches(34, 16)
    (2, 3)
    """
    full, rest = divmod(num_images, batch_size)
    return full + (rest > 1 or not full)


def make_optimiser(model: torch.nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    """Build an optimiser of timm's, without weight decay on biases and norms.

    Raises
    ------
    TrainingError
        If timm does not know it.
    """
    from timm.optim import create_optimizer_v2

    try:
        optimiser: torch.optim.Optimizer = create_optimizer_v2(
            model,
            opt=options.optimizer,
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
        )
    except ValueError as error:
        raise TrainingError(
            f"training.optimizer='{options.optimizer}' is unknown to timm ({error})"
        ) from error
    for group in optimiser.param_groups:
        if "foreach" in group:  # PyTorch takes the slow way on the CPU unless it is told
            group["foreach"] = True
    return optimiser


def one_cycle(
    optimiser: torch.optim.Optimizer, options: TrainingOptions, steps: int
) -> torch.optim.lr_scheduler.OneCycleLR:
    """One-cycle schedule (Smith and Topin, arXiv 1708.07120) that peaks on a whole step.

    PyTorch puts the peak at ``pct_start · total − 1``: between two steps it is missed, and at 0
    it divides by zero.
    """
    total = max(steps, 3)
    peak = min(max(round(options.warmup * steps), 1), total - 2)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        max_lr=options.learning_rate,
        total_steps=total,
        pct_start=(peak + 1) / total,
        cycle_momentum=not optimiser.defaults.keys().isdisjoint({"betas", "momentum"}),
    )

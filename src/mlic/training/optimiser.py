"""Optimiser and learning-rate schedule of one training."""

from __future__ import annotations

import math
from typing import Any

import torch

from mlic.errors import TrainingError
from mlic.training.options import TrainingOptions

__all__ = ["count_batches", "count_steps", "make_optimiser", "one_cycle"]


def count_batches(num_images: int, batch_size: int) -> int:
    """Count the batches of an epoch.

    A last batch with a single image is dropped: batch norm has no variance to estimate there.

    Examples
    --------
    >>> count_batches(33, 16), count_batches(34, 16)
    (2, 3)
    """
    full, rest = divmod(num_images, batch_size)
    return full + (rest > 1 or not full)


def count_steps(num_batches: int, accumulation: int) -> int:
    """Count the optimiser steps of an epoch; the last may accumulate fewer batches.

    Examples
    --------
    >>> count_steps(num_batches=5, accumulation=3)
    2
    """
    return math.ceil(num_batches / accumulation)


def make_optimiser(model: torch.nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    """Build a timm optimiser; an unknown one is a `TrainingError`.

    As in PSD, biases and other one-dimensional parameters, such as those of norms, do not decay.
    """
    # here, because timm imports torchvision, for which `mlic.models` prepares torch first
    from timm.optim import create_optimizer_v2

    try:
        optimiser: torch.optim.Optimizer = create_optimizer_v2(
            _group_parameters(model, options),
            opt=options.optimizer,
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
        )
    except ValueError as error:
        raise TrainingError(
            f"training.optimizer='{options.optimizer}' is unknown to timm ({error}): choose one of "
            "timm.optim.list_optimizers()",
            parameter="training.optimizer",
            value=options.optimizer,
        ) from error
    for group in optimiser.param_groups:
        if "foreach" in group:
            # One call updates all parameters. PyTorch's default on the CPU is a loop over them.
            group["foreach"] = True
    return optimiser


def _group_parameters(model: torch.nn.Module, options: TrainingOptions) -> list[dict[str, Any]]:
    """Group the trained parameters by learning rate and weight decay."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_backbone = name.startswith(("backbone.", "trunk."))
            share = options.backbone_rate if is_backbone else 1.0
            decay = options.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((share, decay), []).append(parameter)
    return [
        {"params": own, "lr": share * options.learning_rate, "weight_decay": decay}
        for (share, decay), own in groups.items()
    ]


def one_cycle(
    optimiser: torch.optim.Optimizer, options: TrainingOptions, steps: int
) -> torch.optim.lr_scheduler.OneCycleLR:
    """Build a one-cycle schedule of so many steps (Smith and Topin, arXiv 1708.07120).

    The learning rates of the optimiser are its peak, which lies exactly on a step.
    """
    # PyTorch puts the peak at ``pct_start · total − 1``: between two steps it would be missed, and
    # at 0 PyTorch divides by zero.
    total = max(steps, 3)
    peak = min(max(round(options.warmup * steps), 1), total - 2)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        max_lr=[group["lr"] for group in optimiser.param_groups],
        total_steps=total,
        pct_start=(peak + 1) / total,
        # not every optimiser has a momentum to cycle, and PyTorch refuses to cycle none
        cycle_momentum=not optimiser.defaults.keys().isdisjoint({"betas", "momentum"}),
    )

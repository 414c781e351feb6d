"""Loss and distiller of a training, and the reduction of their terms."""

from __future__ import annotations

import torch

from mlic.losses.base import Loss
from mlic.losses.distillation.base import Distiller
from mlic.training.options import (
    DISTILLERS,
    LOSSES,
    ROLES,
    DistillationOptions,
    TrainingOptions,
)
from mlic.utils.plugins import build_plugin

__all__ = ["build_distiller", "build_loss", "check_plugins", "count_known", "reduce_terms"]


def build_loss(options: TrainingOptions) -> Loss:
    """Build the loss that the options name.

    Raises
    ------
    ParameterError
        If the loss refuses its options.
    """
    loss: Loss = build_plugin(LOSSES, options.loss.name, options.loss.options)
    return loss


def build_distiller(options: DistillationOptions) -> Distiller:
    """Build the distiller that the options name.

    Raises
    ------
    ParameterError
        If the distiller refuses its options.
    """
    choice = options.distiller
    distiller: Distiller = build_plugin(DISTILLERS, choice.name, choice.options)
    return distiller


def check_plugins(options: TrainingOptions, distillation: DistillationOptions) -> None:
    """Build loss and distiller of every role, so that a wrong option fails before the run.

    Raises
    ------
    ParameterError
        If a loss or the distiller refuses its options.
    """
    for role in ROLES:
        build_loss(options.for_role(role))
    build_distiller(distillation)


def count_known(states: torch.Tensor) -> torch.Tensor:
    """Count the states that are known, at least 1, so that a mean over them is defined."""
    return (states >= 0).sum().clamp(min=1)


def reduce_terms(
    terms: torch.Tensor, count: torch.Tensor | int, options: TrainingOptions
) -> torch.Tensor:
    """Reduce the terms of all images and labels to one number.

    Parameters
    ----------
    terms
        Shape (B, C); zero where they do not count.
    count
        Number of terms that count.
    options
        Name the reduction: the sum, or the mean over the terms that count.
    """
    return terms.sum() if options.reduction == "sum" else terms.sum() / count

"""Loss and distiller of a training, and the reduction of their terms."""

from __future__ import annotations

import torch

from mlic.losses.base import Loss
from mlic.losses.distillation.base import Distiller
from mlic.training.distillation_options import DISTILLERS, DistillationOptions
from mlic.training.options import LOSSES, ROLES, Choice, TrainingOptions
from mlic.training.ranks import count_over_ranks, num_ranks
from mlic.utils.plugins import build_plugin

__all__ = [
    "build_chosen_loss",
    "build_distiller",
    "build_loss",
    "check_plugins",
    "count_known",
    "reduce_terms",
]


def build_loss(options: TrainingOptions) -> Loss:
    """Build the loss that the options name; if it refuses its options, a `ParameterError`."""
    return build_chosen_loss(options.loss)


def build_chosen_loss(choice: Choice) -> Loss:
    """Build a loss by name and options; if it refuses its options, a `ParameterError`."""
    loss: Loss = build_plugin(LOSSES, choice.name, choice.options)
    return loss


def build_distiller(options: DistillationOptions) -> Distiller:
    """Build the distiller that the options name; if it refuses its options, a `ParameterError`."""
    chosen = options.distiller
    distiller: Distiller = build_plugin(DISTILLERS, chosen.name, chosen.options)
    return distiller


def check_plugins(options: TrainingOptions, distillation: DistillationOptions) -> None:
    """Build loss and distiller of every role, so that a wrong option fails before the run."""
    for role in ROLES:
        build_loss(options.for_role(role))
    build_distiller(distillation)


def count_known(states: torch.Tensor) -> torch.Tensor:
    """Count the states that are known, at least 1, so that a mean over them is defined.

    Of a batch that is divided among ranks, see `mlic.training.ranks.count_over_ranks`.
    """
    return count_over_ranks((states >= 0).sum())


def reduce_terms(
    terms: torch.Tensor, count: torch.Tensor | int, options: TrainingOptions
) -> torch.Tensor:
    """Reduce the terms of a batch, of shape (B, C), to their sum or to the mean over `count` terms.

    Terms that do not count are zero.
    """
    # a mean over all B · C terms would shrink where many states are unknown
    if options.reduction == "mean":
        return terms.sum() / count
    # of the ranks' losses the mean is taken, but the sum is wanted
    return terms.sum() * num_ranks() if num_ranks() > 1 else terms.sum()

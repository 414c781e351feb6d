"""The number that a training minimises, and the terms it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mlic.training.options import DISTILLERS, LOSSES
from mlic.utils.plugins import build_plugin

if TYPE_CHECKING:
    from mlic.training.options import DistillationOptions, TrainingOptions

__all__ = ["Objective"]


class Objective:
    """Loss on the truth and, for a student, distances to its teachers.

    ``L = w_h · loss + w_s · Σ_s share_s · distiller(z, T_s)``: section 4 of PSD's recipe, any
    term of which may be left out.

    Parameters
    ----------
    options
        Names the loss and the reduction.
    distillation
        Names the distiller and the weights; nothing for a training without teachers.
    """

    def __init__(
        self, options: TrainingOptions, distillation: DistillationOptions | None = None
    ) -> None:
        self.reduction = options.reduction
        self.loss = build_plugin(LOSSES, options.loss.name, options.loss.options)
        self.distillation = distillation
        if distillation is not None:
            choice = distillation.distiller
            self.distiller = build_plugin(DISTILLERS, choice.name, choice.options)

    def compile(self) -> None:
        """Compile the loss, if it has a way to be."""
        if hasattr(self.loss, "compile"):
            self.loss.compile()

    def __call__(
        self,
        logits: torch.Tensor,
        states: torch.Tensor,
        targets: dict[str, torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The objective and its unweighted terms.

        Parameters
        ----------
        logits
            Shape (B, C).
        states
            1, 0 or −1; shape (B, C).
        targets
            Teachers' logits by strategy; shape (B, C) each.
        """
        known = (states >= 0).sum().clamp(min=1)
        terms = {"hard": self._reduce(self.loss(logits, states), known)}
        if self.distillation is None or targets is None:
            return terms["hard"], terms
        total = self.distillation.hard_weight * terms["hard"]
        for strategy, teacher in targets.items():
            terms[strategy] = self._reduce(self.distiller(logits, teacher), logits.numel())
            share = self.distillation.share(strategy, list(targets))
            total = total + self.distillation.soft_weight * share * terms[strategy]
        return total, terms

    def _reduce(self, cells: torch.Tensor, count: torch.Tensor | int) -> torch.Tensor:
        return cells.sum() if self.reduction == "sum" else cells.sum() / count

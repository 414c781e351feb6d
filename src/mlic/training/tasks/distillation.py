"""Training on the labels and on the logits of teachers: the student."""

from __future__ import annotations

import torch

from mlic.errors import TrainingError
from mlic.training.batch import Batch
from mlic.training.job import TrainingJob
from mlic.training.objective import build_distiller
from mlic.training.tasks.classification import ClassificationTask

__all__ = ["DistillationTask"]


class DistillationTask(ClassificationTask):
    """Minimise the loss on the labels plus distances to the teachers' logits.

    ``L = w_h · loss + w_s · Σ_s share_s · distiller(z, T_s)`` over the strategies s (PSD,
    arXiv 2205.10986). Linked, the distiller compares the log-odds that the logits mean for the
    loss, of student and teachers alike. A job without soft targets is a `TrainingError`.
    """

    def __init__(self, job: TrainingJob) -> None:
        super().__init__(job)
        if job.distillation is None:
            raise TrainingError(f"{job.name}: there are no soft targets to distil", name=job.name)
        self.distillation = job.distillation
        self.distiller = build_distiller(job.distillation)

    def loss(
        self, index: int, model: torch.nn.Module, batch: Batch
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the objective; its terms are ``hard`` and one for each strategy."""
        logits, hard, terms = self.predict_and_compare(model, batch)
        total = self.distillation.hard_weight * hard
        # One loss for each strategy, not one for the mean of their targets: only for squared
        # distances would the gradients be the same.
        strategies = list(batch.soft_targets)
        ours = self._link(logits)
        for strategy, teacher in batch.soft_targets.items():
            distances = self.distiller(ours, self._link(teacher))
            terms[strategy] = self.reduce_soft_loss(distances, batch.known)
            weight = self.distillation.soft_weight * self.distillation.share(strategy, strategies)
            total = total + weight * terms[strategy]
        return total, terms

    def _link(self, logits: torch.Tensor) -> torch.Tensor:
        """Log-odds that the distiller compares: those that the logits mean, or the logits."""
        # half precision has no digits for the links' differences of probabilities
        return self.hard_loss.link(logits.float()) if self.distillation.linked else logits

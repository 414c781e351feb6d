"""Several models that are trained at the same time and learn from each other."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mlic.models.classifier import build_classifier
from mlic.models.input_spec import InputSpec
from mlic.training.batch import Batch
from mlic.training.checkpoint import Checkpoint
from mlic.training.data import ImageData, TrainingData
from mlic.training.distillation_options import DistillationOptions
from mlic.training.job import TrainingJob
from mlic.training.objective import build_distiller
from mlic.training.sharpness import frozen_statistics
from mlic.training.state import TrainingState
from mlic.training.tasks.base import TrainingTask, input_spec, make_checkpoint, to_arrays

__all__ = ["MutualTask"]


class MutualTask(TrainingTask):
    r"""Minimise the loss on the labels plus the distance to the other models' predictions [1]_.

    .. math:: L_i = \ell(z_i, y) + \frac{w}{M - 1} \sum_{j \ne i}
              \mathrm{KL}\bigl(\sigma(z_j) \,\|\, \sigma(z_i)\bigr)

    The divergence is that of each label's probability, and the other model's prediction carries no
    gradient. The models see the same views and are updated in turn, each with the others as they
    are then.

    Parameters
    ----------
    jobs
        At least two, which differ in name and seed only.

    References
    ----------
    .. [1] Zhang et al., "Deep mutual learning", CVPR 2018, arXiv:1706.00384.
    """

    spec: InputSpec

    def __init__(self, jobs: Sequence[TrainingJob]) -> None:
        super().__init__(jobs[0].name, [[job] for job in jobs])
        self.distiller = build_distiller(DistillationOptions())
        self.models: dict[int, torch.nn.Module] = {}

    def learner_name(self, index: int) -> str:
        """Name of a model in messages."""
        return self.jobs[index].name

    def build(self, index: int) -> torch.nn.Module:
        """Build one of the classifiers."""
        job = self.jobs[index]
        model = build_classifier(job.model, job.context)
        self.spec = input_spec(job, model)
        self.models[index] = model
        return model

    def make_data(self) -> TrainingData:
        """Prepare views of the images."""
        return ImageData(self.jobs[0], self.states, self.spec, self.mask)

    def loss(
        self, index: int, model: torch.nn.Module, batch: Batch
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the objective; its terms are ``hard`` and ``peers``."""
        columns = self.columns[index]
        known = None if batch.known is None else batch.known[:, columns]
        logits = model(batch.images, known)
        hard = self.reduce_hard_loss(logits, batch.hidden_states[:, columns])
        others = [other for number, other in self.models.items() if number != index]
        total = torch.zeros_like(logits)
        for other in others:
            # in training mode, as in the paper, but its batch norms count the batch once
            with torch.no_grad(), frozen_statistics(other):
                target = other(batch.images, known)
            total = total + self.distiller(logits, target)
        peers = self.reduce_soft_loss(total / len(others), known)
        return hard + self.options.peer_weight * peers, {"hard": hard, "peers": peers}

    def checkpoints(self, state: TrainingState) -> list[Checkpoint]:
        """Describe the best weights of every model."""
        seconds = state.seconds / len(self.jobs)
        return [
            make_checkpoint(
                job, self.spec, own.best, own.best.score, to_arrays(own.best.weights), seconds, past
            )
            for job, own, past in zip(self.jobs, state.learners, state.history, strict=True)
        ]

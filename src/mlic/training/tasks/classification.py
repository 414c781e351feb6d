"""Training on the labels alone: baseline and separate teachers."""

from __future__ import annotations

import torch

from mlic.models.classifier import build_classifier
from mlic.models.input_spec import InputSpec
from mlic.training.batch import Batch
from mlic.training.checkpoint import Checkpoint
from mlic.training.data import ImageData, TrainingData
from mlic.training.job import TrainingJob
from mlic.training.objective import build_loss, count_known, reduce_terms
from mlic.training.state import TrainingState
from mlic.training.tasks.base import TrainingTask, input_spec, make_checkpoint, to_arrays

__all__ = ["ClassificationTask"]


class ClassificationTask(TrainingTask):
    """Minimise the loss between logits and label states.

    Parameters
    ----------
    job
        The training.
    """

    spec: InputSpec

    def __init__(self, job: TrainingJob) -> None:
        super().__init__(job.name, [job])
        self.job = job
        self.hard_loss = build_loss(job.options)

    def build(self, index: int) -> torch.nn.Module:
        """Build the classifier."""
        model = build_classifier(self.job.model, self.job.context)
        self.spec = input_spec(self.job, model)
        return model

    def make_data(self) -> TrainingData:
        """Prepare views of the images."""
        return ImageData(self.job, self.job.labels.states, self.spec)

    def compile(self) -> None:
        """Compile the loss."""
        self.hard_loss.compile()

    def loss(
        self, index: int, model: torch.nn.Module, batch: Batch
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the loss; its only term is ``hard``."""
        logits = model(batch.images, batch.known)
        hard = self.reduce_hard_loss(logits, batch.states)
        return hard, {"hard": hard}

    def reduce_hard_loss(self, logits: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """Compute the loss on the labels, reduced to one number."""
        terms = self.hard_loss(logits, states)
        return reduce_terms(terms, count_known(states), self.job.options)

    def checkpoints(self, state: TrainingState) -> list[Checkpoint]:
        """Describe the best weights."""
        best, history = state.learners[0].best, state.history[0]
        weights = to_arrays(best.weights)
        return [
            make_checkpoint(self.job, self.spec, best, best.score, weights, state.seconds, history)
        ]

"""Training on the labels alone: baseline and separate teachers."""

from __future__ import annotations

import torch

from mlic.models.classifier import build_classifier
from mlic.models.input_spec import InputSpec
from mlic.training.checkpoint import Checkpoint
from mlic.training.data import ImageData, TrainingData
from mlic.training.job import TrainingJob
from mlic.training.state import TrainingState
from mlic.training.tasks.base import TrainingTask, input_spec, make_checkpoint, to_arrays

__all__ = ["ClassificationTask"]


class ClassificationTask(TrainingTask):
    """Minimise the loss between logits and label states of one job."""

    spec: InputSpec

    def __init__(self, job: TrainingJob) -> None:
        super().__init__(job.name, [[job]])
        self.job = job

    def build(self, index: int) -> torch.nn.Module:
        """Build the classifier."""
        model = build_classifier(self.job.model, self.job.context)
        # the backbone decides the normalisation, unless the options switch it off
        self.spec = input_spec(self.job, model)
        return model

    def make_data(self) -> TrainingData:
        """Prepare views of the images."""
        return ImageData(self.job, self.states, self.spec, self.mask)

    def checkpoints(self, state: TrainingState) -> list[Checkpoint]:
        """Describe the best weights."""
        best, history = state.learners[0].best, state.history[0]
        weights = to_arrays(best.weights)
        return [
            make_checkpoint(self.job, self.spec, best, best.score, weights, state.seconds, history)
        ]

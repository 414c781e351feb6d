"""Training on the labels alone: baseline and separate teachers."""

from __future__ import annotations

import torch

from mlic.labels import UNKNOWN
from mlic.models.classifier import build_classifier
from mlic.models.input_spec import InputSpec
from mlic.training.batch import Batch
from mlic.training.checkpoint import Checkpoint
from mlic.training.data import ImageData, TrainingData
from mlic.training.distillation_options import DistillationOptions
from mlic.training.job import TrainingJob
from mlic.training.objective import build_distiller, reduce_terms
from mlic.training.splicing import Splicer, Splices, cut_cells
from mlic.training.state import TrainingState
from mlic.training.tasks.base import TrainingTask, input_spec, make_checkpoint, to_arrays

__all__ = ["ClassificationTask"]


class ClassificationTask(TrainingTask):
    """Minimise the loss between logits and label states of one job."""

    spec: InputSpec

    def __init__(self, job: TrainingJob) -> None:
        super().__init__(job.name, [[job]])
        self.job = job
        self.splicer = Splicer.for_job(job)
        self.cell_distance = build_distiller(DistillationOptions())

    def build(self, index: int) -> torch.nn.Module:
        """Build the classifier."""
        model = build_classifier(self.job.model, self.job.context)
        # the backbone decides the normalisation, unless the options switch it off
        self.spec = input_spec(self.job, model)
        return model

    def make_data(self) -> TrainingData:
        """Prepare views of the images."""
        return ImageData(self.job, self.states, self.spec, self.mask, self.splicer)

    def loss(
        self, index: int, model: torch.nn.Module, batch: Batch
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the objective; its terms are ``hard``, and ``cells`` for consistent splices."""
        _, total, terms = self.predict_and_compare(model, batch)
        return total, terms

    def predict_and_compare(
        self, model: torch.nn.Module, batch: Batch
    ) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the logits of the batch, shape (B, C), the loss on the labels, and its terms.

        Spliced images are predicted with the batch and count like its images.
        """
        if (splices := batch.splices) is None:
            logits = model(batch.images, batch.known)
            hard = self.reduce_hard_loss(logits, batch.hidden_states)
            return logits, hard, {"hard": hard}
        images, number = torch.cat([batch.images, splices.images]), len(batch)
        states = torch.cat([batch.hidden_states, splices.states])
        known = batch.known
        if known is not None:  # of a spliced image nothing is known
            known = torch.cat([known, torch.full_like(splices.states, UNKNOWN)])
        if not self.options.splice.consistency:
            logits = model(images, known)
            hard = self.reduce_hard_loss(logits, states)
            return logits[:number], hard, {"hard": hard}
        logits, cells = model(images, known, lambda maps: cut_cells(maps[number:], splices.grid))
        hard = self.reduce_hard_loss(logits, states)
        far = self._compare_cells(logits[:number], cells, splices)
        total = hard + self.options.splice.consistency * far
        return logits[:number], total, {"hard": hard, "cells": far}

    def _compare_cells(
        self, logits: torch.Tensor, cells: torch.Tensor, splices: Splices
    ) -> torch.Tensor:
        """Distance of the cells' predictions from those of the images that they show."""
        target, kept = logits.detach()[splices.sources.flatten()], splices.kept.flatten()
        distances = self.cell_distance(cells, target) * kept[:, None]
        return reduce_terms(distances, kept.sum() * cells.shape[1], self.options)

    def checkpoints(self, state: TrainingState) -> list[Checkpoint]:
        """Describe the best weights."""
        best, history = state.learners[0].best, state.history[0]
        weights = to_arrays(best.weights)
        return [
            make_checkpoint(self.job, self.spec, best, best.score, weights, state.seconds, history)
        ]

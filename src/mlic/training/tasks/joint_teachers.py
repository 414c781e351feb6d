"""Several teachers in one training: branches on one trunk that learns from all of them.

There is one network, one optimiser, one schedule and one average. The objective is the mean over
the known states of all branches, so that a branch counts in proportion to its labels. All branches
share one best epoch, selected by the mean of their validation mAP, because they share the trunk.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mlic.errors import CheckpointError
from mlic.evaluation.metrics import mean_average_precision
from mlic.models.branch import BranchedClassifiers, merge_weights, split_weights
from mlic.models.classifier import build_classifiers
from mlic.models.input_spec import InputSpec
from mlic.models.options import BranchedModelOptions
from mlic.training.batch import Batch
from mlic.training.checkpoint import Checkpoint
from mlic.training.data import ImageData, TrainingData
from mlic.training.job import TrainingJob
from mlic.training.objective import build_loss, count_known, reduce_terms
from mlic.training.predict import predict_views
from mlic.training.state import TrainingState
from mlic.training.tasks.base import (
    TrainingTask,
    input_spec,
    make_checkpoint,
    to_arrays,
    validation_figures,
)

__all__ = ["JointTeachersTask", "predict_joint_views"]

NAME = "teachers"


class JointTeachersTask(TrainingTask):
    """Train branches and the trunk that they share.

    Parameters
    ----------
    jobs
        One for each branch; they differ only in name and labels, and their model has a branch. The
        seed is that of the first.
    """

    spec: InputSpec

    def __init__(self, jobs: Sequence[TrainingJob]) -> None:
        super().__init__(NAME, jobs)
        self.options = jobs[0].options
        self.sizes = [len(job.labels.space) for job in jobs]
        self.hard_loss = build_loss(self.options)

    def build(self, index: int) -> torch.nn.Module:
        """Build trunk, branches and heads."""
        model = _build(self.jobs)
        self.spec = input_spec(self.jobs[0], model)
        return model

    def make_data(self) -> TrainingData:
        """Prepare views of the images, with the labels of all branches side by side."""
        states = np.concatenate([job.labels.states for job in self.jobs], axis=1)
        return ImageData(self.jobs[0], states, self.spec)

    def compile(self) -> None:
        """Compile the loss."""
        self.hard_loss.compile()

    def loss(
        self, index: int, model: torch.nn.Module, batch: Batch
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the mean over all known states, or the sum; the terms are each teacher's loss."""
        logits = model(batch.images, batch.known)
        pairs = zip(
            torch.split(logits, self.sizes, 1),
            torch.split(batch.states, self.sizes, 1),
            strict=True,
        )
        parts = list(pairs)
        losses = torch.stack(
            [
                reduce_terms(self.hard_loss(*part), count_known(part[1]), self.options)
                for part in parts
            ]
        )
        terms = {job.name: own for job, own in zip(self.jobs, losses, strict=True)}
        if self.options.reduction == "sum":
            return losses.sum(), terms
        known = torch.stack([(states >= 0).sum() for _, states in parts])
        return (losses * (known / known.sum().clamp(min=1))).sum(), terms

    def scores(
        self, index: int, logits: NDArray[np.float32], states: NDArray[np.int8]
    ) -> list[float]:
        """Compute the validation mAP of every teacher on its own labels."""
        cuts = np.cumsum(self.sizes)[:-1]
        parts = zip(np.split(logits, cuts, axis=1), np.split(states, cuts, axis=1), strict=True)
        return [mean_average_precision(*part) for part in parts]

    def job_figures(
        self,
        index: int,
        figures: Mapping[str, float],
        raw: Sequence[float],
        averaged: Sequence[float],
    ) -> list[dict[str, float]]:
        """Figures of every teacher: its own loss and scores, the common rate and learning rate."""
        common = {name: figures[name] for name in ("learning_rate", "images_per_second")}
        own = []
        for job, *scores in zip(self.jobs, raw, averaged, strict=True):
            loss = figures[f"loss_{job.name}"]
            own.append({"loss": loss, "loss_hard": loss, **common, **validation_figures(*scores)})
        return own

    def checkpoints(self, state: TrainingState) -> list[Checkpoint]:
        """Describe every branch, with a copy of the trunk, as a model of its own."""
        best = state.learners[0].best
        weights, seconds = to_arrays(best.weights), state.seconds / len(self.jobs)
        scores = best.scores or [math.nan] * len(self.jobs)
        return [
            make_checkpoint(
                job, self.spec, best, score, _extract(weights, number), seconds, history
            )
            for number, (job, score, history) in enumerate(
                zip(self.jobs, scores, state.history, strict=True)
            )
        ]


def predict_joint_views(
    jobs: Sequence[TrainingJob], checkpoints: Sequence[Checkpoint]
) -> Iterator[list[NDArray[np.float32]]]:
    """Predict all views of the training images with all jointly trained teachers in one pass.

    Parameters
    ----------
    jobs, checkpoints
        The teachers, in the order of their training.

    Yields
    ------
    list of numpy.ndarray
        Logits of one view: one array of shape (n, C) for each teacher.

    Raises
    ------
    CheckpointError
        If the teachers do not share their trunk.
    """
    model = _build(jobs, load_weights=False)
    weights = _combine(checkpoints)
    model.load_state_dict({name: torch.from_numpy(np.array(v)) for name, v in weights.items()})
    cuts = np.cumsum(model.sizes)[:-1]
    for logits in predict_views(jobs[0], model, checkpoints[0].input_spec, NAME):
        yield np.split(logits, cuts, axis=1)


def _build(jobs: Sequence[TrainingJob], load_weights: bool = True) -> BranchedClassifiers:
    options = jobs[0].model
    assert isinstance(options, BranchedModelOptions)
    return build_classifiers(options, [job.context for job in jobs], load_weights)


def _extract(
    weights: Mapping[str, NDArray[np.generic]], number: int
) -> dict[str, NDArray[np.generic]]:
    """Weights of one teacher by their names in a `MultiLabelClassifier`."""
    own, shared = f"branch_heads.{number}.", "trunk."
    branch = {name.removeprefix(own): v for name, v in weights.items() if name.startswith(own)}
    trunk = {name.removeprefix(shared): v for name, v in weights.items() if name.startswith(shared)}
    return merge_weights(trunk, branch)


def _combine(checkpoints: Sequence[Checkpoint]) -> dict[str, NDArray[np.generic]]:
    """Weights of all teachers by their names in `BranchedClassifiers`: undoes `_extract`."""
    first, _ = split_weights(checkpoints[0].weights)
    combined = {f"trunk.{name}": value for name, value in first.items()}
    for number, checkpoint in enumerate(checkpoints):
        trunk, own = split_weights(checkpoint.weights)
        if any(not np.array_equal(first[name], value) for name, value in trunk.items()):
            raise CheckpointError(
                f"'{checkpoint.info.name}' and '{checkpoints[0].info.name}' were not trained in "
                "one pass: delete the checkpoints of all teachers and train them again",
                name=checkpoint.info.name,
            )
        combined |= {f"branch_heads.{number}.{name}": value for name, value in own.items()}
    return combined

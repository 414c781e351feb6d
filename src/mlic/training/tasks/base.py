"""Base class of training tasks."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mlic.evaluation.metrics import mean_average_precision
from mlic.models.branch import BranchedClassifiers
from mlic.models.classifier import MultiLabelClassifier
from mlic.models.input_spec import InputSpec
from mlic.training.batch import Batch
from mlic.training.checkpoint import Checkpoint, CheckpointInfo
from mlic.training.data import TrainingData
from mlic.training.job import TrainingJob
from mlic.training.state import Best, TrainingState

__all__ = ["TrainingTask", "input_spec", "make_checkpoint", "to_arrays", "validation_figures"]


class TrainingTask(ABC):
    """What a training minimises, and how its result is evaluated.

    A task describes one or several learners: models with an optimiser of their own. Each learner
    yields one or several checkpoints, one for each of its jobs. `mlic.training.fit.fit` runs any
    task; a task never touches the loop.

    Parameters
    ----------
    name
        Name in messages and progress bars.
    jobs
        The trainings, one for each checkpoint, in the order of the learners.
    """

    def __init__(self, name: str, jobs: Sequence[TrainingJob]) -> None:
        self.name, self.jobs = name, list(jobs)

    @property
    def seeds(self) -> list[int]:
        """One seed for each learner: of initial weights and of random numbers such as dropout."""
        return [self.jobs[0].seed]

    @property
    def order_seed(self) -> int:
        """Seed of the order of the training images."""
        return self.jobs[0].seed

    def num_jobs(self, index: int) -> int:
        """Number of checkpoints that a learner yields."""
        return len(self.jobs) // len(self.seeds)

    def learner_name(self, index: int) -> str:
        """Name of a learner in messages."""
        return self.name

    @abstractmethod
    def make_data(self) -> TrainingData:
        """Prepare the batches. Called after `build`, which may decide the model's input."""

    @abstractmethod
    def build(self, index: int) -> torch.nn.Module:
        """Build the model of a learner, on the CPU."""

    @abstractmethod
    def loss(
        self, index: int, model: torch.nn.Module, batch: Batch
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the objective of a batch, and its named, unweighted terms.

        Parameters
        ----------
        index
            Number of the learner.
        model
            Its model; called on the batch's images.
        batch
            The batch.
        """

    def compile(self) -> None:  # noqa: B027  optional to override
        """Compile what the task itself computes, such as its loss."""

    def scores(
        self, index: int, logits: NDArray[np.float32], states: NDArray[np.int8]
    ) -> list[float]:
        """Compute the validation mAP of each of a learner's jobs, in [0, 1]; NaN if undefined.

        Parameters
        ----------
        index
            Number of the learner.
        logits
            Its logits; shape (m, C).
        states
            Label states of all the task's labels; shape (m, ·).
        """
        return [mean_average_precision(logits, states)]

    def job_figures(
        self,
        index: int,
        figures: Mapping[str, float],
        raw: Sequence[float],
        averaged: Sequence[float],
    ) -> list[dict[str, float]]:
        """Figures of an epoch for each of a learner's jobs.

        Parameters
        ----------
        index
            Number of the learner.
        figures
            Loss, terms, learning rate and images per second.
        raw, averaged
            Validation mAP of each job, with raw and with averaged weights; NaN is left out,
            because JSON has no NaN.
        """
        return [
            {**figures, **validation_figures(own_raw, own_averaged)}
            for own_raw, own_averaged in zip(raw, averaged, strict=True)
        ]

    @abstractmethod
    def checkpoints(self, state: TrainingState) -> list[Checkpoint]:
        """Describe the best weights, one checkpoint for each job."""

    def state_dict(self) -> dict[str, Any]:
        """State of the task itself that changes during training."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027  see above
        """Restore what `state_dict` returned."""


def input_spec(job: TrainingJob, model: MultiLabelClassifier | BranchedClassifiers) -> InputSpec:
    """Size and normalisation of the input of a job's model."""
    if not job.options.normalise:
        return InputSpec.without_normalisation(job.image_size)
    return InputSpec(job.image_size, *model.normalisation)


def make_checkpoint(
    job: TrainingJob,
    spec: InputSpec,
    best: Best,
    score: float,
    weights: dict[str, NDArray[Any]],
    seconds: float,
    history: list[dict[str, float]],
) -> Checkpoint:
    """Describe the best weights of one job.

    Parameters
    ----------
    job
        The training.
    spec
        The model's input.
    best
        Epoch and kind of the weights.
    score
        Validation mAP of this job's model, in [0, 1]; NaN if undefined.
    weights
        The weights, by their names in a `MultiLabelClassifier`.
    seconds
        Wall time of the training; where several were trained in one pass, this one's share.
    history
        Figures of every epoch.
    """
    info = CheckpointInfo(
        name=job.name,
        role=job.role,
        labels=job.labels.space.names,
        label_fingerprint=job.labels.space.fingerprint,
        model=job.model,
        image_size=spec.size,
        mean=spec.mean,
        std=spec.std,
        components=job.components(),
        epoch=best.epoch,
        averaged=best.averaged,
        validation_map=None if math.isnan(score) else score,
        seconds=seconds,
        history=history,
    )
    return Checkpoint(weights, info)


def to_arrays(weights: Mapping[str, torch.Tensor]) -> dict[str, NDArray[Any]]:
    """Weights as arrays that share their memory."""
    return {name: value.numpy() for name, value in weights.items()}


def validation_figures(raw: float, averaged: float) -> dict[str, float]:
    """Validation figures of one job; NaN is left out, because JSON has no NaN."""
    scores = {"validation_mAP_raw": raw, "validation_mAP_ema": averaged}
    return {name: score for name, score in scores.items() if not math.isnan(score)}

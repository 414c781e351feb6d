"""Base class of training tasks."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain, pairwise
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
from mlic.training.label_mask import LabelMask
from mlic.training.objective import build_loss, count_known, reduce_terms
from mlic.training.ranks import count_over_ranks, num_ranks, sum_over_ranks
from mlic.training.state import Best, TrainingState

__all__ = ["TrainingTask", "input_spec", "make_checkpoint", "to_arrays"]


class TrainingTask(ABC):
    """What a training minimises, and how its result is evaluated.

    A task has one or several learners, each with a model and an optimiser of its own, and a learner
    yields one or several checkpoints, one for each of its jobs. `mlic.training.fit.fit` runs any
    task; a task never touches the loop. The default objective is the loss on the labels.

    Parameters
    ----------
    name
        Name in messages and progress bars.
    groups
        The jobs of each learner. All jobs share images, split, views and options.
    """

    def __init__(self, name: str, groups: Sequence[Sequence[TrainingJob]]) -> None:
        self.name, self.groups = name, groups
        self.jobs = list(chain(*groups))
        self.options = self.jobs[0].options
        self.hard_loss = build_loss(self.options)
        self.mask = LabelMask.for_jobs(self.jobs)
        ends = accumulate((sum(_sizes(group)) for group in groups), initial=0)
        # columns of each learner's labels in `states`
        self.columns = [slice(*pair) for pair in pairwise(ends)]

    @property
    def seeds(self) -> list[int]:
        """One seed for each learner: of initial weights and of random numbers such as dropout."""
        firsts = [group[0] for group in self.groups]
        return [one.seed if one.start_seed is None else one.start_seed for one in firsts]

    @property
    def order_seed(self) -> int:
        """Seed of the order of the training images."""
        return self.jobs[0].seed

    @property
    def states(self) -> NDArray[np.int8]:
        """Label states of all images, the labels of all jobs side by side; shape (n, C)."""
        parts = [job.labels.states for job in self.jobs]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def learner_name(self, index: int) -> str:
        """Name of a learner in messages."""
        return self.name

    @abstractmethod
    def build(self, index: int) -> torch.nn.Module:
        """Build the model of a learner, on the CPU."""

    @abstractmethod
    def make_data(self) -> TrainingData:
        """Prepare the batches. Called after `build`, because the model decides its input."""

    @abstractmethod
    def checkpoints(self, state: TrainingState) -> list[Checkpoint]:
        """Describe the best weights, one checkpoint for each job."""

    def loss(
        self, index: int, model: torch.nn.Module, batch: Batch
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the objective of a batch, and its named, unweighted terms.

        By default the objective is the mean over all states of the learner's labels that the data
        have and the model is not shown, or the sum over them.

        Parameters
        ----------
        index, model
            Number of the learner, and its model.
        batch
            The batch; its states and known states have the labels of all jobs.

        Returns
        -------
        objective : torch.Tensor
        terms : dict of torch.Tensor
            ``hard``, or one term for each job if the learner has several.
        """
        states = batch.hidden_states[:, self.columns[index]]
        known = None if batch.known is None else batch.known[:, self.columns[index]]
        logits, group = model(batch.images, known), self.groups[index]
        if len(group) == 1:
            loss = self.reduce_hard_loss(logits, states)
            return loss, {"hard": loss}
        sizes = _sizes(group)
        parts = list(zip(torch.split(logits, sizes, 1), torch.split(states, sizes, 1), strict=True))
        losses = torch.stack([self.reduce_hard_loss(*part) for part in parts])
        terms = {job.name: own for job, own in zip(group, losses, strict=True)}
        if self.options.reduction == "sum":
            return losses.sum(), terms
        # Means weighted by their counts are the mean over all: a job counts as much as its labels.
        counts = sum_over_ranks(torch.stack([(own >= 0).sum() for _, own in parts]))
        return (losses * (counts / counts.sum().clamp(min=1))).sum(), terms

    def reduce_hard_loss(self, logits: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """Compute the loss on the labels, reduced to one number."""
        return reduce_terms(self.hard_loss(logits, states), count_known(states), self.options)

    def reduce_soft_loss(self, distances: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
        """Reduce the distances to other models' predictions, of shape (B, C), to one number.

        These models have a prediction for labels that the data do not have, so that these count.
        Labels that the model is shown do not count.
        """
        count: int | torch.Tensor = distances.numel()
        if known is not None:
            is_hidden = known < 0
            distances, count = distances.where(is_hidden, 0), count_over_ranks(is_hidden.sum())
        elif num_ranks() > 1:
            count = count_over_ranks(torch.tensor(count, device=distances.device))
        return reduce_terms(distances, count, self.options)

    def scores(
        self, index: int, logits: NDArray[np.float32], states: NDArray[np.int8]
    ) -> list[float]:
        """Compute the validation mAP of each of a learner's jobs, in [0, 1]; NaN if undefined.

        Logits are those of the learner's labels, shape (m, c); states those of all jobs, (m, C).
        """
        cuts = np.cumsum(_sizes(self.groups[index]))[:-1]
        parts = np.split(states[:, self.columns[index]], cuts, axis=1)
        pairs = zip(np.split(logits, cuts, axis=1), parts, strict=True)
        return [mean_average_precision(*pair) for pair in pairs]

    def job_figures(
        self,
        index: int,
        figures: Mapping[str, float],
        raw: Sequence[float],
        averaged: Sequence[float],
    ) -> list[dict[str, float]]:
        """Figures of an epoch for each of a learner's jobs: the given ones and its validation mAP.

        The given ones are loss and terms, learning rate and images per second of the learner.
        """
        group, own = self.groups[index], []
        for job, *scores in zip(group, raw, averaged, strict=True):
            kept = dict(figures)
            if len(group) > 1:  # of the losses, a job's own
                kept = {name: v for name, v in figures.items() if not name.startswith("loss")}
                loss = figures[f"loss_{job.name}"]
                kept = {"loss": loss, "loss_hard": loss, **kept}
            named = zip(("validation_mAP_raw", "validation_mAP_ema"), scores, strict=True)
            # JSON has no NaN
            own.append(kept | {name: score for name, score in named if not math.isnan(score)})
        return own

    def compile(self) -> None:
        """Compile what the task itself computes."""
        self.hard_loss.compile()

    def state_dict(self) -> dict[str, Any]:
        """State of the task itself that changes during training; none by default."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        # a subclass with a state must override both methods, or resuming would lose it
        if state:
            raise NotImplementedError(f"{type(self).__name__} does not restore its state")


def _sizes(jobs: Sequence[TrainingJob]) -> list[int]:
    return [len(job.labels.space) for job in jobs]


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
    """Describe the best weights of one job, by their names in a `MultiLabelClassifier`.

    The score is the validation mAP of this job's model, in [0, 1]; NaN if undefined. Where several
    jobs were trained in one pass, the seconds are this one's share.
    """
    info = CheckpointInfo(
        name=job.name,
        role=job.role,
        labels=job.labels.space.names,
        label_fingerprint=job.labels.space.fingerprint,
        model=job.model,
        image_size=spec.size,
        decoded_size=job.images.size,
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

"""Teachers in one pass: branches on one trunk that learns from all of them.

One network, one optimiser, schedule and average. The objective is the mean over all known cells of
all branches, so that a branch weighs as much as it has labels. One epoch is the best for all, by
the mean of their validation mAP: the trunk is common, and what all teachers say of a view comes
from one pass over it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from mlic.errors import CheckpointError
from mlic.evaluation.metrics import mean_average_precision
from mlic.models.branch import TRUNK, name_as_upper, name_as_whole
from mlic.models.classifier import build_classifiers
from mlic.models.options import BranchedModelOptions
from mlic.training.checkpoint import Checkpoint
from mlic.training.device import memory_advice
from mlic.training.fit import _Training
from mlic.training.predict import frame_of, predict_views

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlic.models.branch import BranchedClassifiers
    from mlic.training.fit import Report
    from mlic.training.job import TrainingJob

__all__ = ["predict_jointly", "train_jointly"]

NAME = "teachers"


def train_jointly(jobs: Sequence[TrainingJob], reports: Sequence[Report]) -> list[Checkpoint]:
    """Train branches and the trunk they share.

    Parameters
    ----------
    jobs
        One a branch, alike but for name and labels; their model has a branch. The seed is that of
        the first.
    reports
        Called after every epoch, one a job, each with the loss and the scores of its own branch;
        see `mlic.training.fit.train`.

    Returns
    -------
    list of Checkpoint
        Whole models, trunk included, in the order of the jobs. Of the wall time each is given an
        equal share.

    Raises
    ------
    TrainingError
        As in `mlic.training.fit.train`.
    """
    histories: list[list[dict[str, float]]] = [[] for _ in jobs]

    def report_each(epoch: int, figures: Mapping[str, float]) -> None:
        for number, (history, report) in enumerate(zip(histories, reports, strict=True)):
            history.append(training.figures_of(number, figures))
            report(epoch, history[-1])

    with memory_advice(jobs[0].options, "the teachers"):
        training = _JointTraining(jobs)
        seconds, _ = training.run(report_each)
    share = seconds / len(jobs)
    return [training.teacher(number, share, own) for number, own in enumerate(histories)]


class _JointTraining(_Training):
    """The training of a trunk and its branches: one model whose labels are those of all."""

    def __init__(self, jobs: Sequence[TrainingJob]) -> None:
        self.jobs = jobs
        super().__init__(replace(jobs[0], name=NAME))
        self.states = np.concatenate([job.labels.states for job in jobs], axis=1)

    def _build(self) -> torch.nn.Module:
        model = _build(self.jobs)
        self.frame = frame_of(self.job, model)
        return model

    def _compare(
        self, logits: torch.Tensor, states: torch.Tensor, targets: Any
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The mean over all known cells, or the sum, and the loss of each teacher."""
        sizes = _sizes(self.jobs)
        parts = list(zip(torch.split(logits, sizes, 1), torch.split(states, sizes, 1), strict=True))
        losses = torch.stack([self.objective(*part)[0] for part in parts])
        terms = {job.name: own for job, own in zip(self.jobs, losses, strict=True)}
        if self.options.reduction == "sum":
            return losses.sum(), terms
        known = torch.stack([(own >= 0).sum() for _, own in parts])
        return (losses * (known / known.sum().clamp(min=1))).sum(), terms

    def _judge(self, epoch: int, figures: dict[str, float], bar: Any) -> dict[str, float]:
        self.judged: list[list[float]] = []  # the teachers' mAP with raw and with averaged weights
        return super()._judge(epoch, figures, bar)

    def _score(self, logits: NDArray[np.float32], states: NDArray[np.int8]) -> float:
        """The teachers' mean."""
        cuts = np.cumsum(_sizes(self.jobs))[:-1]
        parts = zip(np.split(logits, cuts, axis=1), np.split(states, cuts, axis=1), strict=True)
        scores = [mean_average_precision(*part) for part in parts]
        self.judged.append(scores)
        return _mean(scores)

    def _keep_best(self, epoch: int, scores: dict[str, float]) -> None:
        super()._keep_best(epoch, scores)
        if self.best["epoch"] == epoch and self.judged:
            self.best["judged"] = self.judged[self.best["averaged"]]

    def figures_of(self, number: int, figures: Mapping[str, float]) -> dict[str, float]:
        """Figures of an epoch with the loss and the scores of one teacher."""
        loss = figures[f"loss_{self.jobs[number].name}"]
        common = {name: figures[name] for name in ("learning_rate", "images_per_second")}
        scores = {
            f"validation_mAP_{which}": judged[number]
            for which, judged in zip(("raw", "ema"), self.judged, strict=False)
            if not math.isnan(judged[number])
        }
        return {"loss": loss, "loss_hard": loss, **common, **scores}

    def teacher(self, number: int, seconds: float, history: list[dict[str, float]]) -> Checkpoint:
        """One branch with a copy of the trunk, as a model of its own."""
        whole = self.checkpoint(self.jobs[number], seconds, history)
        score = self.best["judged"][number] if "judged" in self.best else math.nan
        own = {"validation_map": None if math.isnan(score) else score}
        return Checkpoint(_take_out(whole.weights, number), whole.info.model_copy(update=own))


def predict_jointly(
    jobs: Sequence[TrainingJob], checkpoints: Sequence[Checkpoint]
) -> Iterator[list[NDArray[np.float32]]]:
    """What teachers trained jointly say of every view of every training image, in one pass.

    Yields
    ------
    list of numpy.ndarray
        Of one view, a teacher each, of shape (n, its labels).

    Raises
    ------
    CheckpointError
        If the teachers do not share their trunk.
    """
    model = _build(jobs, load_weights=False)
    state = {name: torch.from_numpy(np.array(v)) for name, v in _put_together(checkpoints).items()}
    model.load_state_dict(state)
    info, cuts = checkpoints[0].info, np.cumsum(_sizes(jobs))[:-1]
    frame = (info.image_size, info.mean, info.std)
    for logits in predict_views(jobs[0], model, frame, NAME):
        yield np.split(logits, cuts, axis=1)


def _build(jobs: Sequence[TrainingJob], load_weights: bool = True) -> BranchedClassifiers:
    options = jobs[0].model
    assert isinstance(options, BranchedModelOptions)
    vectors = [job.label_vectors for job in jobs]
    return build_classifiers(options, _sizes(jobs), load_weights, vectors)


def _sizes(jobs: Sequence[TrainingJob]) -> list[int]:
    return [len(job.labels.space) for job in jobs]


def _mean(scores: Sequence[float]) -> float:
    """Mean of what is defined."""
    known = [score for score in scores if not math.isnan(score)]
    return fmean(known) if known else math.nan


def _take_out(weights: Mapping[str, NDArray[Any]], number: int) -> dict[str, NDArray[Any]]:
    """Weights of one teacher by their names in a `MultiLabelClassifier`."""
    upper = f"uppers.{number}."
    own = {name.removeprefix(upper): v for name, v in weights.items() if name.startswith(upper)}
    shared = {f"backbone.{name}": v for name, v in weights.items() if name.startswith("trunk.")}
    return {**shared, **name_as_whole(own)}


def _trunk(checkpoint: Checkpoint) -> dict[str, NDArray[Any]]:
    weights = checkpoint.weights.items()
    return {n.removeprefix("backbone."): v for n, v in weights if n.startswith(TRUNK)}


def _put_together(checkpoints: Sequence[Checkpoint]) -> dict[str, NDArray[Any]]:
    """Turn `_take_out` back."""
    whole = trunk = _trunk(checkpoints[0])
    for number, one in enumerate(checkpoints):
        if any(not np.array_equal(trunk[name], value) for name, value in _trunk(one).items()):
            raise CheckpointError(
                f"'{one.info.name}' and '{checkpoints[0].info.name}' were not trained in one pass: "
                "delete the checkpoints of all teachers and train them again"
            )
        own = name_as_upper(one.weights)
        whole = {**whole, **{f"uppers.{number}.{name}": value for name, value in own.items()}}
    return whole

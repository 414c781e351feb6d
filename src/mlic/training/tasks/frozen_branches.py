"""Several teachers on one frozen trunk: branches trained side by side, each as if it were alone.

Every batch of features is read once and given to all branches in turn. A branch has its own
weights, optimiser, average, best epoch and random numbers, so that its result does not depend on
the others. What the branches share is the frozen trunk and the order of the images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mlic.evaluation.metrics import mean_average_precision
from mlic.models.branch import merge_weights, split_weights
from mlic.models.classifier import build_branch_head
from mlic.models.trunk import Trunk
from mlic.training.batch import Batch
from mlic.training.checkpoint import Checkpoint
from mlic.training.data import TrainingData
from mlic.training.device import make_fabric
from mlic.training.features import FeatureData, FrozenFeatures, to_device
from mlic.training.job import TrainingJob
from mlic.training.objective import build_loss, count_known, reduce_terms
from mlic.training.predict import predict_batches
from mlic.training.state import TrainingState
from mlic.training.tasks.base import TrainingTask, make_checkpoint, to_arrays
from mlic.utils.seeds import derive_seed

__all__ = ["FrozenBranchesTask", "predict_branch_views"]


class FrozenBranchesTask(TrainingTask):
    """Train branches on the features of a frozen trunk; each is a learner of its own.

    Parameters
    ----------
    jobs
        One for each branch; they differ only in name, labels and seed, and their model has a
        branch.
    features
        Features of the shared trunk.
    """

    def __init__(self, jobs: Sequence[TrainingJob], features: FrozenFeatures) -> None:
        super().__init__(f"{len(jobs)} teachers", jobs)
        self.features = features
        self.hard_loss = build_loss(jobs[0].options)
        ends = np.cumsum([len(job.labels.space) for job in jobs]).tolist()
        self.columns = [slice(a, b) for a, b in zip([0, *ends], ends, strict=False)]

    @property
    def seeds(self) -> list[int]:
        """One seed for each branch."""
        return [job.seed for job in self.jobs]

    @property
    def order_seed(self) -> int:
        """Seed of the order, which does not depend on which branches are trained."""
        return derive_seed(self.jobs[0].view_seed, "teachers")

    def learner_name(self, index: int) -> str:
        """Name of the branch's job."""
        return self.jobs[index].name

    def build(self, index: int) -> torch.nn.Module:
        """Build a branch and its head."""
        job, trunk = self.jobs[index], self.features.trunk
        model = build_branch_head(trunk, job.model, job.context)
        model.pool = _SharedPool(trunk)
        return model

    def make_data(self) -> TrainingData:
        """Prepare features, with the labels of all branches side by side."""
        states = np.concatenate([job.labels.states for job in self.jobs], axis=1)
        return FeatureData(self.jobs[0], states, self.features)

    def compile(self) -> None:
        """Compile the loss."""
        self.hard_loss.compile()

    def loss(
        self, index: int, model: torch.nn.Module, batch: Batch
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the loss of one branch on its own labels; its only term is ``hard``."""
        columns = self.columns[index]
        states = batch.states[:, columns]
        known = None if batch.known is None else batch.known[:, columns]
        terms = self.hard_loss(model(batch.images, known), states)
        hard = reduce_terms(terms, count_known(states), self.jobs[index].options)
        return hard, {"hard": hard}

    def scores(
        self, index: int, logits: NDArray[np.float32], states: NDArray[np.int8]
    ) -> list[float]:
        """Compute the validation mAP of one branch on its own labels."""
        return [mean_average_precision(logits, states[:, self.columns[index]])]

    def checkpoints(self, state: TrainingState) -> list[Checkpoint]:
        """Describe every branch, with a copy of the trunk, as a model of its own."""
        seconds = state.seconds / len(self.jobs)
        made = []
        for job, learner, history in zip(self.jobs, state.learners, state.history, strict=True):
            best = learner.best
            weights = merge_weights(self.features.weights, to_arrays(best.weights))
            spec = self.features.spec
            made.append(make_checkpoint(job, spec, best, best.score, weights, seconds, history))
        return made


class _SharedPool:
    """Pooling by the trunk. Copies of a branch, such as its average, share the trunk."""

    def __init__(self, trunk: Trunk) -> None:
        self.trunk = trunk

    def __call__(self, maps: torch.Tensor) -> torch.Tensor:
        return self.trunk.pool(maps)

    def __deepcopy__(self, memo: dict[int, Any]) -> _SharedPool:
        return self


def predict_branch_views(
    job: TrainingJob, checkpoint: Checkpoint, features: FrozenFeatures
) -> Iterator[NDArray[np.float32]]:
    """Predict all views of the training images with a trained branch, from the same features.

    Yields
    ------
    numpy.ndarray
        Logits of one view; shape (n, C).
    """
    fabric = make_fabric(job.options)
    model = build_branch_head(features.trunk, job.model, job.context, load_weights=False)
    _, own = split_weights(checkpoint.weights)
    model.load_state_dict({name: torch.from_numpy(np.array(v)) for name, v in own.items()})
    placed = fabric.to_device(model.to(memory_format=torch.channels_last))
    for view in features.training:
        batches = to_device(view, fabric, job.options.batch_size)
        yield predict_batches(placed, batches, fabric)

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

from mlic.models.branch import merge_weights, split_weights
from mlic.models.classifier import build_branch_head
from mlic.models.trunk import Trunk
from mlic.training.checkpoint import Checkpoint
from mlic.training.data import TrainingData
from mlic.training.device import make_fabric
from mlic.training.features import FeatureData, FrozenFeatures, to_device
from mlic.training.job import TrainingJob
from mlic.training.predict import block_starts, predict_batches
from mlic.training.state import TrainingState
from mlic.training.tasks.base import TrainingTask, make_checkpoint, to_arrays
from mlic.utils.seeds import derive_seed

__all__ = ["FrozenBranchesTask", "predict_branch_views"]


class FrozenBranchesTask(TrainingTask):
    """Train branches on the features of a frozen trunk; each is a learner of its own.

    The jobs differ only in name, labels and seed, and their model has a branch.
    """

    def __init__(self, jobs: Sequence[TrainingJob], features: FrozenFeatures) -> None:
        super().__init__(f"{len(jobs)} teachers", [[job] for job in jobs])
        self.features = features

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
        # Only the branch is trained and averaged: a copy of the whole trunk would be wasted.
        model.pool = _SharedPool(trunk)
        return model

    def make_data(self) -> TrainingData:
        """Prepare the features."""
        return FeatureData(self.jobs[0], self.states, self.features, self.mask)

    def checkpoints(self, state: TrainingState) -> list[Checkpoint]:
        """Describe every branch, with a copy of the trunk, as a model of its own."""
        seconds, made = state.seconds / len(self.jobs), []
        for job, learner, history in zip(self.jobs, state.learners, state.history, strict=True):
            best, spec = learner.best, self.features.spec
            weights = merge_weights(self.features.weights, to_arrays(best.weights))
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
        Logits of a block of consecutive images, first those of the first view; shape (m, C),
        float32.
    """
    fabric = make_fabric(job.options)
    model = build_branch_head(features.trunk, job.model, job.context, load_weights=False)
    # the branch alone: the trunk's features are stored, so that it does not run again
    _, own = split_weights(checkpoint.weights)
    model.load_state_dict({name: torch.from_numpy(np.array(v)) for name, v in own.items()})
    placed = fabric.to_device(model.to(memory_format=torch.channels_last))
    size = job.options.batch_size
    for view in features.training:
        starts = block_starts(len(view), size)
        for start in starts:
            batches = to_device(view[start : start + starts.step], fabric, size)
            yield predict_batches(placed, batches, fabric)

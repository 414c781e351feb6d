"""Several teachers in one training: branches on one trunk that learns from all of them.

There is one network, one optimiser, one schedule and one average. The objective is the mean over
the known states of all branches, so that a branch counts in proportion to its labels. All branches
share one best epoch, selected by the mean of their validation mAP, because they share the trunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mlic.errors import CheckpointError
from mlic.models.branch import BranchedClassifiers, merge_weights, split_weights
from mlic.models.classifier import build_classifiers
from mlic.models.input_spec import InputSpec
from mlic.models.options import BranchedModelOptions
from mlic.training.checkpoint import Checkpoint
from mlic.training.data import ImageData, TrainingData
from mlic.training.job import TrainingJob
from mlic.training.predict import predict_views
from mlic.training.state import TrainingState
from mlic.training.tasks.base import TrainingTask, input_spec, make_checkpoint, to_arrays

__all__ = ["JointTeachersTask", "predict_joint_views"]

NAME = "teachers"


class JointTeachersTask(TrainingTask):
    """Train branches and the trunk that they share.

    The jobs differ only in name and labels, and their model has a branch. The seed is that of the
    first.
    """

    spec: InputSpec

    def __init__(self, jobs: Sequence[TrainingJob]) -> None:
        super().__init__(NAME, [jobs])

    def build(self, index: int) -> torch.nn.Module:
        """Build trunk, branches and heads."""
        model = _build(self.jobs)
        self.spec = input_spec(self.jobs[0], model)
        return model

    def make_data(self) -> TrainingData:
        """Prepare views of the images."""
        return ImageData(self.jobs[0], self.states, self.spec, self.mask)

    def checkpoints(self, state: TrainingState) -> list[Checkpoint]:
        """Describe every branch, with a copy of the trunk, as a model of its own."""
        best = state.learners[0].best
        weights, seconds = to_arrays(best.weights), state.seconds / len(self.jobs)
        # each holds the trunk, so that a teacher can be used without the others
        parts = enumerate(zip(self.jobs, best.scores, state.history, strict=True))
        return [
            make_checkpoint(
                job, self.spec, best, score, _extract(weights, number), seconds, history
            )
            for number, (job, score, history) in parts
        ]


def predict_joint_views(
    jobs: Sequence[TrainingJob], checkpoints: Sequence[Checkpoint]
) -> Iterator[list[NDArray[np.float32]]]:
    """Predict all views of the training images with all jointly trained teachers in one pass.

    Every block of consecutive images yields one array of logits, shape (m, C), for each teacher, in
    the order of training; see `mlic.training.predict.predict_views`.
    Teachers that do not share their trunk are a `CheckpointError`.
    """
    model = _build(jobs, load_weights=False)
    weights = _combine(checkpoints)
    # The trunk, by far the most expensive part, then processes each image once for all teachers.
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

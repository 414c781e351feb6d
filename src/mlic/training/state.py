"""State of a training: everything that it needs to continue as if it had not stopped."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from mlic.models.sync_norm import synchronise_norms
from mlic.training.device import compiles, make_fabric
from mlic.training.optimiser import count_steps, make_optimiser, one_cycle
from mlic.training.options import TrainingOptions
from mlic.training.ranks import num_ranks, rank, sum_over_ranks
from mlic.utils.seeds import derive_seed

if TYPE_CHECKING:
    from timm.utils import ModelEmaV3

    from mlic.training.job import TrainingJob

__all__ = ["Best", "EpochProgress", "Learner", "TrainingState", "rng_scope"]

RandomState = list[torch.Tensor]  # of the CPU, then of the GPU in use


class Trainable(Protocol):
    """What a state needs of a task; see `mlic.training.tasks.base.TrainingTask`."""

    jobs: list[TrainingJob]

    @property
    def seeds(self) -> list[int]: ...

    @property
    def order_seed(self) -> int: ...

    def build(self, index: int) -> torch.nn.Module: ...

    def compile(self) -> None: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


@dataclass
class Best:
    """The best weights so far, as parameters and buffers on the CPU.

    They are the raw or the averaged weights of an epoch, counted from 1; 0 before the first
    evaluation. They were selected by `score`, the mean of `scores`: the validation mAP of each of
    the learner's teachers. NaN means that there was nothing to evaluate.
    """

    epoch: int = 0
    averaged: bool = False
    score: float = math.nan
    scores: list[float] = field(default_factory=list)
    weights: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass
class EpochProgress:
    """How far the epoch in progress is; at its start, nothing is done.

    The means of loss and terms are sums of the shares of the batches that are done, on the device,
    for each learner.
    """

    batches: int = 0
    seconds: float = 0.0
    means: list[dict[str, torch.Tensor]] = field(default_factory=list)

    def share_means(self) -> None:
        """Replace the means of every rank by those of all, which the saved state stands for."""
        if num_ranks() > 1:
            shared = [{k: sum_over_ranks(v) for k, v in own.items()} for own in self.means]
            self.means = [{k: v / num_ranks() for k, v in own.items()} for own in shared]


class Learner:
    """A model with its own optimiser, schedule, averaged weights and random numbers.

    It is trained for so many steps in all. The model is given on the CPU and moved to the device.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        options: TrainingOptions,
        steps: int,
        fabric: Fabric,
        compiled: bool,
    ) -> None:
        from timm.utils import ModelEmaV3

        self.options = options
        if num_ranks() > 1:
            synchronise_norms(model, fabric.device)
        # channels last, because convolutions are faster
        self.model: torch.nn.Module = fabric.to_device(model.to(memory_format=torch.channels_last))
        optimiser = make_optimiser(self.model, options)
        self.average: ModelEmaV3 = ModelEmaV3(
            self.model, decay=options.ema_decay, use_warmup=options.ema_warmup, warmup_power=0.75
        )
        # self.model stays uncompiled: it is evaluated with another batch size, which would compile
        # a second kernel; and the names of its weights stay those of a checkpoint.
        trained: Any = torch.compile(self.model) if compiled else self.model
        self.module, self.optimiser = fabric.setup(trained, optimiser)
        self.schedule = one_cycle(optimiser, options, steps)
        self.steps_done = 0
        self.best = Best()
        # Taken after the initial weights were drawn: dropout continues the same stream.
        self.random = _get_random_state()

    def step(self) -> None:
        """Update weights, learning rate and averaged weights."""
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.schedule.step()
        self.steps_done += 1
        # without the step, timm would use the final decay from the start
        self.average.update(self.model, self.steps_done if self.options.ema_warmup else None)

    def keep_best(self, epoch: int, raw: Sequence[float], averaged: Sequence[float]) -> None:
        """Keep the better of the raw and the averaged weights, if they are the best so far.

        Both have a validation mAP for each of the learner's teachers. Without a score (NaN), the
        averaged weights of the last epoch are kept.
        """
        # comparisons with NaN are false, so that the averaged weights win ties and missing scores
        is_averaged = not _mean(raw) > _mean(averaged)
        scores = list(averaged if is_averaged else raw)
        score = _mean(scores)
        if self.best.epoch and not math.isnan(score) and score <= self.best.score:
            return
        model = self.average.module if is_averaged else self.model
        # copied, because the next step changes the model in place
        # and on rank 0 alone, which returns the result
        kept = {} if rank() else model.state_dict()
        weights = {name: value.detach().cpu().clone() for name, value in kept.items()}
        self.best = Best(epoch, is_averaged, score, scores, weights)

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes during training."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "steps_done": self.steps_done,
            "best": asdict(self.best),
            "random": self.random,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.model.load_state_dict(state["model"])
        self.average.module.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.steps_done = state["steps_done"]
        self.best = Best(**state["best"])
        self.random = list(state["random"])


class TrainingState:
    """All that a training needs to continue as if it had not stopped.

    The task builds the models, one for each learner.

    Raises
    ------
    TrainingError
        If there is no training image, or the optimiser is unknown.
    """

    def __init__(self, task: Trainable, options: TrainingOptions) -> None:
        num_batches = task.jobs[0].num_batches
        steps = options.epochs * count_steps(num_batches, options.accumulation)
        self.fabric = make_fabric(options)
        compiled = compiles(options, self.fabric.device, steps)
        if compiled:
            task.compile()
        self.task = task
        self.learners = []
        for number, seed in enumerate(task.seeds):
            # the learner's own stream starts with its initial weights; nobody else's is touched
            with _own_random_numbers(seed):
                model = task.build(number)
                self.learners.append(Learner(model, options, steps, self.fabric, compiled))
        # a generator of its own: what a model draws does not change the order of the images
        self.order = np.random.default_rng(task.order_seed)
        self.epoch = 0
        self.seconds = 0.0
        self._start_epoch()
        self.history: list[list[dict[str, float]]] = [[] for _ in task.jobs]

    def finish_epoch(self, seconds: float) -> None:
        """Count an epoch that took so many seconds; the next one begins."""
        self.epoch += 1
        self.seconds += seconds
        self._start_epoch()

    def _start_epoch(self) -> None:
        self.progress = EpochProgress(means=[{} for _ in self.task.seeds])
        self._order_at_start = self.order.bit_generator.state

    def prepare_epoch(self, epoch: int) -> None:
        """Prepare all learners for training in an epoch, counted from 1."""
        for learner, seed in zip(self.learners, self.task.seeds, strict=True):
            learner.module.train()
            if rank() > 0:
                # Rank 0 continues its stream. The others must not draw the same dropout for other
                # images, and their streams are not saved: they start anew in every epoch.
                with _own_random_numbers(derive_seed(seed, f"rank {rank()}, epoch {epoch}")):
                    learner.random = _get_random_state()

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimisers, schedules, generators, epoch, best weights and history.

        In the middle of an epoch, it is right only between two steps, when there is no gradient.
        """
        return {
            "epoch": self.epoch,
            "progress": asdict(self.progress),
            "seconds": self.seconds,
            "history": self.history,
            # from which the epoch in progress is shuffled again
            "order": self._order_at_start,
            # of 16-bit training: the gradient scaler
            "precision": self.fabric.strategy.precision.state_dict(),
            "task": self.task.state_dict(),
            "learners": [learner.state_dict() for learner in self.learners],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.epoch, self.seconds = state["epoch"], state["seconds"]
        self.history = [list(epochs) for epochs in state["history"]]
        self.order.bit_generator.state = state["order"]
        self._start_epoch()
        self.progress = EpochProgress(**state["progress"])
        self.progress.means = [
            {name: value.to(self.fabric.device) for name, value in own.items()}
            for own in self.progress.means
        ]
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        self.task.load_state_dict(state["task"])
        for learner, own in zip(self.learners, state["learners"], strict=True):
            learner.load_state_dict(own)

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        """Arrays and metadata as a safetensors file holds them; nothing is pickled."""
        arrays: dict[str, NDArray[Any]] = {}
        tree = _take_tensors(self.state_dict(), arrays)
        return arrays, {"state": json.dumps(tree)}

    def load_tensors(self, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
        """Restore what `to_tensors` returned."""
        self.load_state_dict(_put_tensors(json.loads(metadata["state"]), arrays))


@contextmanager
def rng_scope(learner: Learner) -> Iterator[None]:
    """Let torch draw from the learner's own stream of random numbers, such as for dropout.

    The stream does not depend on what else is trained side by side.
    """
    outside = _get_random_state()
    _set_random_state(learner.random)
    try:
        yield
    finally:
        learner.random = _get_random_state()
        _set_random_state(outside)


@contextmanager
def _own_random_numbers(seed: int) -> Iterator[None]:
    """Let torch draw from a stream of its own; the one outside is not touched."""
    outside = _get_random_state()
    torch.manual_seed(seed)
    try:
        yield
    finally:
        _set_random_state(outside)


def _get_random_state() -> RandomState:
    """State of torch's generators: the CPU's, then that of the GPU in use."""
    on_gpu = torch.cuda.is_available()
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if on_gpu else [])]


def _set_random_state(state: RandomState) -> None:
    torch.set_rng_state(state[0])
    if len(state) > 1 and torch.cuda.is_available():
        torch.cuda.set_rng_state(state[1])


def _mean(scores: Sequence[float]) -> float:
    """Mean of the scores that are defined; NaN if none is."""
    known = [score for score in scores if not math.isnan(score)]
    return math.fsum(known) / len(known) if known else math.nan


def _take_tensors(tree: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """Copy a tree with tensors replaced by references to arrays.

    Dictionaries become lists of pairs, because JSON would turn integer keys into strings.
    """
    if isinstance(tree, torch.Tensor):
        name = str(len(arrays))
        arrays[name] = tree.detach().cpu().numpy()
        return {"tensor": name}
    if isinstance(tree, Mapping):
        return {"items": [[key, _take_tensors(value, arrays)] for key, value in tree.items()]}
    if isinstance(tree, list | tuple):
        return [_take_tensors(value, arrays) for value in tree]
    return tree


def _put_tensors(tree: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Undo `_take_tensors`."""
    if isinstance(tree, list):
        return [_put_tensors(value, arrays) for value in tree]
    if isinstance(tree, dict):
        if "tensor" in tree:
            return torch.from_numpy(np.array(arrays[tree["tensor"]]))
        return {key: _put_tensors(value, arrays) for key, value in tree["items"]}
    return tree

"""Teachers in one pass over features: branches on one frozen trunk, each as if it were alone.

Every batch of features is read once and shown to all branches in turn. A branch has its own
weights, optimiser, average, best epoch and chance, so that training it beside others changes no
bit of it; what the branches share is the trunk, which is frozen, and the order of the images.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from mlic.models.branch import name_as_upper, name_as_whole
from mlic.models.classifier import build_upper
from mlic.training.device import make_fabric, memory_advice, send
from mlic.training.fit import _Training
from mlic.training.prefetch import prefetch
from mlic.utils.seeds import derive_seed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lightning_fabric import Fabric

    from mlic.models.branch import Trunk
    from mlic.training.checkpoint import Checkpoint
    from mlic.training.fit import Report
    from mlic.training.job import TrainingJob
    from mlic.training.trunk import FrozenTrunk

__all__ = ["predict_branch_views", "train_branches"]


def train_branches(
    jobs: Sequence[TrainingJob], trunk: FrozenTrunk, reports: Sequence[Report]
) -> list[Checkpoint]:
    """Train branches side by side; each comes out as if it had been trained alone.

    Parameters
    ----------
    jobs
        One a branch, alike but for name, labels and seed; their model has a branch.
    trunk
        What they share.
    reports
        Called after every epoch, one a job; see `mlic.training.fit.train`.

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
    first, start = jobs[0], time.perf_counter()
    with memory_advice(first.options, "the teachers"):
        branches = [_Branch(job, trunk) for job in jobs]
        histories: list[list[dict[str, float]]] = [[] for _ in jobs]
        # the order has a name of its own: that of a branch trained alone is the same
        rng = np.random.default_rng(derive_seed(first.view_seed, "teachers"))
        with branches[0].bar(f"{len(jobs)} teachers") as bar:
            for epoch in range(1, first.options.epochs + 1):
                figures = _run_epoch(branches, epoch, rng, bar)
                for own, history, report in zip(figures, histories, reports, strict=True):
                    history.append(own)
                    report(epoch, own)
    share = (time.perf_counter() - start) / len(jobs)
    for branch in branches:
        branch.tell(share)
    made = zip(branches, histories, strict=True)
    return [branch.checkpoint(branch.job, share, history) for branch, history in made]


def _run_epoch(
    branches: Sequence[_Branch], epoch: int, rng: np.random.Generator, bar: Any
) -> list[dict[str, float]]:
    start, first = time.perf_counter(), branches[0]
    for branch in branches:
        branch.rng = rng
        branch._begin()
    on_gpu = first.fabric.device.type != "cpu"
    pairs = prefetch(first._batches(), lambda batch: first._read(batch, epoch), on_gpu)
    for number, (batch, features) in enumerate(pairs, 1):
        seen = first._see(batch, features, epoch)
        for branch in branches:
            with branch.own_chance():
                branch._learn_batch(number, batch, seen, epoch)
        bar.update(len(batch))
    rate = len(first.job.train_rows) / (time.perf_counter() - start)
    return [
        branch._judge(epoch, {**branch._figures(epoch), "images_per_second": rate}, bar)
        for branch in branches
    ]


class _SharedPool:
    """The pooling of a trunk; who copies a branch, to average its weights, copies no trunk."""

    def __init__(self, trunk: Trunk) -> None:
        self.trunk = trunk

    def __call__(self, maps: torch.Tensor) -> torch.Tensor:
        return self.trunk.pool(maps)

    def __deepcopy__(self, memo: dict[int, Any]) -> _SharedPool:
        return self


class _Branch(_Training):
    """The training of a branch and its head on the features of a trunk."""

    def __init__(self, job: TrainingJob, trunk: FrozenTrunk) -> None:
        self.trunk = trunk
        super().__init__(job)
        self._chance = _chance()

    def _build(self) -> torch.nn.Module:
        job = self.job
        self.frame = self.trunk.frame
        trunk = self.trunk.model
        model = build_upper(trunk, job.model, len(job.labels.space), embeddings=job.label_vectors)
        model.pool = _SharedPool(trunk)
        return model

    @contextmanager
    def own_chance(self) -> Iterator[None]:
        """Draw from this branch's own sequence of random numbers, such as for dropout."""
        with torch.random.fork_rng():
            _set_chance(self._chance)
            yield
            self._chance = _chance()

    def _read(self, batch: NDArray[np.intp], epoch: int) -> NDArray[Any]:
        return np.asarray(self.trunk.training[self._view(epoch)[1]][batch])

    def _see(self, batch: NDArray[np.intp], pixels: Any, epoch: int) -> torch.Tensor:
        """What is on the device already is taken as it is: one branch has put it there for all."""
        return pixels if isinstance(pixels, torch.Tensor) else _to_device(pixels, self.fabric)

    def _predict(self, model: torch.nn.Module, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        return _predict_features(model, self.trunk.validation, self.fabric, self.options.batch_size)

    def _weights(self) -> dict[str, NDArray[Any]]:
        return {**self.trunk.weights, **name_as_whole(super()._weights())}


def predict_branch_views(
    job: TrainingJob, checkpoint: Checkpoint, trunk: FrozenTrunk
) -> Iterator[NDArray[np.float32]]:
    """What a trained branch says of every view of every training image, from the same features.

    Yields
    ------
    numpy.ndarray
        Shape (n, C), float32.
    """
    fabric = make_fabric(job.options)
    model = build_upper(trunk.model, job.model, len(job.labels.space), load_weights=False)
    own = name_as_upper(checkpoint.weights)
    model.load_state_dict({name: torch.from_numpy(np.array(own[name])) for name in own})
    model = fabric.to_device(model.to(memory_format=torch.channels_last))
    for features in trunk.training:
        yield _predict_features(model, features, fabric, job.options.batch_size)


def _predict_features(
    model: torch.nn.Module, features: NDArray[np.float16], fabric: Fabric, size: int
) -> NDArray[np.float32]:
    was_training = model.training
    model.eval()
    logits = []
    with torch.inference_mode(), fabric.autocast():
        for start in range(0, len(features), size):
            seen = _to_device(features[start : start + size], fabric)
            logits.append(model(seen).float().cpu())
    model.train(was_training)
    return torch.cat(logits).numpy()


def _to_device(features: NDArray[np.float16], fabric: Fabric) -> torch.Tensor:
    return send(np.array(features), fabric).float().contiguous(memory_format=torch.channels_last)


def _chance() -> tuple[torch.Tensor, list[torch.Tensor]]:
    on_gpu = torch.cuda.is_available()
    return torch.get_rng_state(), torch.cuda.get_rng_state_all() if on_gpu else []


def _set_chance(chance: tuple[torch.Tensor, list[torch.Tensor]]) -> None:
    torch.set_rng_state(chance[0])
    if chance[1]:
        torch.cuda.set_rng_state_all(chance[1])

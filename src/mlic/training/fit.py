"""The one training loop: baseline, teachers and student differ only in their job."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from mlic.errors import TrainingError
from mlic.evaluation.metrics import mean_average_precision
from mlic.images.augmentation import ViewSampler
from mlic.models.classifier import build_classifier
from mlic.training.checkpoint import Checkpoint, CheckpointInfo
from mlic.training.device import compiles, make_fabric, memory_advice, send
from mlic.training.objective import Objective
from mlic.training.optimiser import count_batches, make_optimiser, one_cycle
from mlic.training.predict import View, frame_of, predict_logits, read_view, render_view
from mlic.training.prefetch import prefetch
from mlic.utils.progress import progress

if TYPE_CHECKING:
    from mlic.training.job import TrainingJob

__all__ = ["Report", "train"]

log = logging.getLogger(__name__)

JUDGED = 4  # batches that are judged at once: without gradients they take less room than one

Report = Callable[[int, Mapping[str, float]], None]


def _ignore(epoch: int, metrics: Mapping[str, float]) -> None:
    """Report to nobody."""


def train(job: TrainingJob, report: Report = _ignore) -> Checkpoint:
    """Train, and keep the weights that do best on validation.

    After every epoch the raw and the averaged weights are judged on the validation split; the
    better of the two of the best epoch is kept. The test split is never read.

    Parameters
    ----------
    job
        What to train.
    report
        Called after every epoch with its number, from 1, and its figures.

    Returns
    -------
    Checkpoint
        Weights in float32, on the CPU.

    Raises
    ------
    TrainingError
        If memory runs out, the loss stops being finite, or there is nothing to learn from.
    """
    with memory_advice(job.options, job.name):
        training = _Training(job)
        seconds, history = training.run(report)
    return training.checkpoint(job, seconds, history)


class _Training:
    """The moving parts of one training."""

    def __init__(self, job: TrainingJob) -> None:
        options = job.options
        self.job, self.options, self.states = job, options, job.labels.states
        if not len(job.train_rows):
            raise TrainingError(f"{job.name}: no image is in the training split")
        self.fabric = make_fabric(options)
        torch.manual_seed(job.seed)
        self.rng = np.random.default_rng(job.seed)
        model = self._build().to(memory_format=torch.channels_last)
        self.model: torch.nn.Module = self.fabric.to_device(model)
        ids = job.images.ids.tolist()
        self.views = ViewSampler(ids, options.augmentation, job.view_seed, options.threads)
        self.objective = Objective(options, job.distillation)
        self.num_batches = count_batches(len(job.train_rows), options.batch_size)
        self.steps = math.ceil(self.num_batches / options.accumulation)
        self.steps_done = 0
        self._prepare_optimiser()
        self.best: dict[str, Any] = {}

    def _build(self) -> torch.nn.Module:
        """The model to be trained; the frame of its images is kept."""
        job = self.job
        model = build_classifier(job.model, len(job.labels.space), embeddings=job.label_vectors)
        self.frame = frame_of(job, model)
        return model

    def _prepare_optimiser(self) -> None:
        from timm.utils import ModelEmaV3

        options = self.options
        optimiser = make_optimiser(self.model, options)
        self.average = ModelEmaV3(
            self.model, decay=options.ema_decay, use_warmup=options.ema_warmup, warmup_power=0.75
        )
        model: Any = self.model  # itself not compiled: it is judged in batches of another size
        if compiles(options, self.fabric.device, options.epochs * self.steps):
            self.objective.compile()
            model = torch.compile(model)
        self.module, self.optimiser = self.fabric.setup(model, optimiser)
        self.schedule = one_cycle(optimiser, options, options.epochs * self.steps)

    def run(self, report: Report) -> tuple[float, list[dict[str, float]]]:
        """Train all epochs; return the seconds they took and the figures of each."""
        start, history = time.perf_counter(), []
        with self.bar(self.job.name) as bar:
            for epoch in range(1, self.options.epochs + 1):
                figures = self._run_epoch(epoch, bar)
                history.append(figures)
                report(epoch, figures)
        seconds = time.perf_counter() - start
        self.tell(seconds)
        return seconds, history

    def bar(self, name: str) -> Any:
        """Progress over the images of all epochs."""
        total = self.options.epochs * len(self.job.train_rows)
        return progress(total=total, what=name, unit="image")

    def tell(self, seconds: float) -> None:
        """Log what came out."""
        best, text = self.best, "%s: trained in %.1f s, best validation mAP %.1f %% (epoch %d, %s)"
        which = "averaged weights" if best["averaged"] else "raw weights"
        log.info(text, self.job.name, seconds, 100 * best["score"], best["epoch"], which)

    def _run_epoch(self, epoch: int, bar: Any) -> dict[str, float]:
        start = time.perf_counter()
        figures = self._learn(epoch, bar)
        figures["images_per_second"] = len(self.job.train_rows) / (time.perf_counter() - start)
        return self._judge(epoch, figures, bar)

    def _judge(self, epoch: int, figures: dict[str, float], bar: Any) -> dict[str, float]:
        """Judge the weights of an epoch and keep them if they are the best so far."""
        scores = {"raw": self._validate(self.model), "ema": self._validate(self.average.module)}
        self._keep_best(epoch, scores)
        bar.set_postfix_str(f"validation mAP {100 * max(scores.values()):.1f} %")
        judged = {
            f"validation_mAP_{name}": value
            for name, value in scores.items()
            if not math.isnan(value)  # JSON knows no NaN
        }
        return {**figures, **judged}

    def _learn(self, epoch: int, bar: Any) -> dict[str, float]:
        """One pass over the training images; means of the loss terms stay on the device."""
        self._begin()
        on_gpu = self.fabric.device.type != "cpu"
        pairs = prefetch(self._batches(), lambda batch: self._read(batch, epoch), on_gpu)
        for number, (batch, pixels) in enumerate(pairs, 1):
            self._learn_batch(number, batch, pixels, epoch)
            bar.update(len(batch))
        return self._figures(epoch)

    def _begin(self) -> None:
        self.module.train()
        self.sums: dict[str, torch.Tensor] = {}

    def _learn_batch(self, number: int, batch: NDArray[np.intp], pixels: Any, epoch: int) -> None:
        loss, terms = self._losses(batch, pixels, epoch)
        self.fabric.backward(loss / self._scale(number))
        if number % self.options.accumulation == 0 or number == self.num_batches:
            self._step()
        for name, value in {"loss": loss, **terms}.items():
            mean = value.detach() / self.num_batches
            self.sums[name] = self.sums.get(name, torch.zeros_like(mean)) + mean

    def _figures(self, epoch: int) -> dict[str, float]:
        sums = {name: float(value) for name, value in self.sums.items()}
        figures = {name if name == "loss" else f"loss_{name}": sums[name] for name in sums}
        if not math.isfinite(figures["loss"]):
            raise self._diverged(f"the loss is {figures['loss']} in epoch {epoch}")
        return {**figures, "learning_rate": float(self.schedule.get_last_lr()[0])}

    def _diverged(self, symptom: str) -> TrainingError:
        return TrainingError(
            f"{self.job.name}: {symptom}; lower training.learning_rate "
            f"(now {self.options.learning_rate})"
        )

    def _scale(self, number: int) -> int:
        """Batches that share the optimiser step of this one; 1 where losses are summed."""
        if self.options.reduction == "sum":
            return 1
        accumulation = self.options.accumulation
        group = (number - 1) // accumulation
        return min(accumulation, self.num_batches - group * accumulation)

    def _batches(self) -> Iterator[NDArray[np.intp]]:
        """Positions among the training rows, shuffled."""
        order = self.rng.permutation(len(self.job.train_rows))
        size = self.options.batch_size
        for number in range(self.num_batches):
            yield order[number * size : (number + 1) * size]

    def _view(self, epoch: int) -> View:
        return self.views, (epoch - 1) % self.views.num_views

    def _read(self, batch: NDArray[np.intp], epoch: int) -> NDArray[Any]:
        """Pixels of the epoch's view; shape (B, H, W, 3)."""
        return read_view(self.job.images, self.job.train_rows[batch], self._view(epoch))

    def _see(self, batch: NDArray[np.intp], pixels: Any, epoch: int) -> torch.Tensor:
        """What the model is given."""
        rows = self.job.train_rows[batch]
        return render_view(pixels, rows, self._view(epoch), self.frame, self.fabric)

    def _losses(
        self, batch: NDArray[np.intp], pixels: Any, epoch: int
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        job, fabric = self.job, self.fabric
        states = send(self.states[job.train_rows[batch]], fabric)
        targets = None
        if job.targets is not None:
            targets = {
                strategy: send(values, fabric).float()
                for strategy, values in job.targets.read(self._view(epoch)[1], batch).items()
            }
        return self._compare(self.module(self._see(batch, pixels, epoch)), states, targets)

    def _compare(
        self, logits: torch.Tensor, states: torch.Tensor, targets: dict[str, torch.Tensor] | None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """What is minimised, and its terms."""
        return self.objective(logits, states, targets)

    def _step(self) -> None:
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.schedule.step()
        self.steps_done += 1
        # timm takes the decay for warmed up unless it is told the step
        self.average.update(self.model, self.steps_done if self.options.ema_warmup else None)

    def _validate(self, model: torch.nn.Module) -> float:
        rows = self.job.labels.rows("validation")
        if not len(rows):
            return math.nan
        logits = self._predict(model, rows)
        if not np.isfinite(logits).all():
            raise self._diverged("the model's logits on validation are not all finite")
        return self._score(logits, self.states[rows])

    def _score(self, logits: NDArray[np.float32], states: NDArray[np.int8]) -> float:
        return mean_average_precision(logits, states)

    def _predict(self, model: torch.nn.Module, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Logits for the validation images."""
        size = self.options.batch_size * JUDGED
        return predict_logits(model, self.job.images, rows, self.frame, self.fabric, size)

    def _keep_best(self, epoch: int, scores: dict[str, float]) -> None:
        """Keep the better weights; with nothing to judge by, the last averaged ones."""
        averaged = not scores["raw"] > scores["ema"]
        score = scores["ema" if averaged else "raw"]
        if self.best and not math.isnan(score) and score <= self.best["score"]:
            return
        model = self.average.module if averaged else self.model
        weights = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
        self.best = {"epoch": epoch, "averaged": averaged, "score": score, "weights": weights}

    def checkpoint(
        self, job: TrainingJob, seconds: float, history: list[dict[str, float]]
    ) -> Checkpoint:
        """What was kept, with the description of a job."""
        space, score = job.labels.space, self.best["score"]
        info = CheckpointInfo(
            name=job.name,
            role=job.role,
            labels=space.names,
            label_fingerprint=space.fingerprint,
            model=job.model,
            image_size=job.image_size,
            mean=self.frame[1],
            std=self.frame[2],
            components=job.components(),
            epoch=self.best["epoch"],
            averaged=self.best["averaged"],
            validation_map=None if math.isnan(score) else score,
            seconds=seconds,
            history=history,
        )
        return Checkpoint(self._weights(), info)

    def _weights(self) -> dict[str, NDArray[Any]]:
        return {name: value.numpy() for name, value in self.best["weights"].items()}

"""The one training loop, for every task."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from lightning_fabric import Fabric

from mlic.errors import TrainingError
from mlic.training.batch import Batch
from mlic.training.data import TrainingData
from mlic.training.options import TrainingOptions
from mlic.training.predict import predict_batches
from mlic.training.ranks import (
    gather_rows,
    mean_over_ranks,
    num_ranks,
    own_part,
    rank,
    share_scores,
)
from mlic.training.sharpness import sharpen_gradient
from mlic.training.state import Learner, TrainingState, rng_scope
from mlic.training.tasks.base import TrainingTask
from mlic.utils.progress import progress as progress_bar

__all__ = ["Report", "evaluate", "fit"]

log = logging.getLogger(__name__)

_ANNEALED = 0.1  # of the peak learning rate

# called after every epoch with its number, from 1, and the figures of each of the task's jobs
Report = Callable[[int, Sequence[Mapping[str, float]]], None]


def fit(
    task: TrainingTask,
    data: TrainingData,
    options: TrainingOptions,
    state: TrainingState,
    report: Report,
    save: Callable[[], object] = lambda: None,
) -> None:
    """Train from where the state is to the end of the last epoch; update the state in place.

    After every epoch the raw and the averaged weights are evaluated on the validation split; the
    better of the two of the best epoch are kept in the state. The test split is never read.
    ``save`` is called within epochs, as often as ``options.save_every_steps`` asks for.

    Raises
    ------
    TrainingError
        If the loss or the logits stop being finite.
    """
    fabric, num_images, progress = state.fabric, len(data.train_rows), state.progress
    done = state.epoch * num_images + progress.batches * options.batch_size
    total = options.epochs * num_images
    with progress_bar(total=total, what=task.name, unit="image", initial=done) as bar:
        for epoch in range(state.epoch + 1, options.epochs + 1):
            # asked before an epoch, so that a continued training stops where an unbroken one does
            if _is_patience_over(state, options):
                log.info("%s: no better epoch for %d epochs: stopped", task.name, options.patience)
                break
            progress = state.progress
            start = time.perf_counter() - progress.seconds
            state.prepare_epoch(epoch)
            batches = data.batches(epoch, state.order, fabric, progress.batches)
            for number, batch in enumerate(batches, progress.batches + 1):
                share = _accumulation_share(number, data.num_batches, options)
                is_step = number % options.accumulation == 0 or number == data.num_batches
                # One batch is read once and serves all learners in turn.
                for index, learner in enumerate(state.learners):
                    # ranks exchange gradients once a step, after its last batch
                    waits = fabric.no_backward_sync(learner.module, enabled=not is_step)
                    with rng_scope(learner), waits:
                        loss, terms = task.loss(index, learner.module, batch)
                        # gradients add up over the batches of a step: of means, take the mean
                        fabric.backward(loss / share)
                        if options.sharpness_radius:
                            again = partial(_backward, task, index, learner, batch, fabric)
                            sharpen_gradient(learner.model, options.sharpness_radius, again)
                        if is_step:
                            learner.step()
                    _add_means(progress.means[index], {"loss": loss, **terms}, data.num_batches)
                progress.batches = number
                bar.update(len(batch) * num_ranks())
                if is_step and number < data.num_batches and _is_save_due(state, options):
                    progress.seconds = time.perf_counter() - start
                    progress.share_means()
                    save()
                    start = time.perf_counter() - progress.seconds
            # measured before the evaluation, so that it is the speed of training alone
            rate = {"images_per_second": num_images / (time.perf_counter() - start)}
            figures = _evaluate_epoch(task, data, state, epoch, rate)
            bar.set_postfix_str(f"validation mAP {100 * _mean_of_best(figures):.1f} %")
            for history, own in zip(state.history, figures, strict=True):
                history.append(own)
            state.finish_epoch(time.perf_counter() - start)
            report(epoch, figures)
    _log_outcome(task, state)


def _is_save_due(state: TrainingState, options: TrainingOptions) -> bool:
    every = options.save_every_steps
    return every is not None and state.learners[0].steps_done % every == 0


def _evaluate_epoch(
    task: TrainingTask,
    data: TrainingData,
    state: TrainingState,
    epoch: int,
    rate: Mapping[str, float],
) -> list[dict[str, float]]:
    """Evaluate all learners, keep their best weights, and return the figures of all jobs."""
    figures: list[dict[str, float]] = []
    for index, learner in enumerate(state.learners):
        losses = _loss_figures(state.progress.means[index], learner, epoch, task.name)
        # both, as in PSD: in a short training the average lags behind the raw weights
        raw = evaluate(task, index, learner.model, data, state.fabric)
        averaged = evaluate(task, index, learner.average.module, data, state.fabric)
        learner.keep_best(epoch, raw, averaged)
        figures += task.job_figures(index, {**losses, **rate}, raw, averaged)
    return figures


def _mean_of_best(figures: Sequence[Mapping[str, float]]) -> float:
    """Mean over the jobs of the better validation mAP; NaN if one of them has none."""
    # without a defined score, an epoch has no such figure
    best = [
        max((v for k, v in own.items() if k.startswith("validation_mAP")), default=math.nan)
        for own in figures
    ]
    return float(np.mean(best))


def _is_patience_over(state: TrainingState, options: TrainingOptions) -> bool:
    """Whether no learner was better lately, and the learning rates are already low."""
    if options.patience is None:
        return False
    low = _ANNEALED * options.learning_rate  # backbones have lower rates than heads
    is_low = all(max(one.schedule.get_last_lr()) <= low for one in state.learners)
    since = state.epoch - max(learner.best.epoch for learner in state.learners)
    return is_low and since >= options.patience


def _backward(
    task: TrainingTask, index: int, learner: Learner, batch: Batch, fabric: Fabric
) -> None:
    """Compute the gradient of a batch once more."""
    fabric.backward(task.loss(index, learner.module, batch)[0])


def evaluate(
    task: TrainingTask, index: int, model: torch.nn.Module, data: TrainingData, fabric: Fabric
) -> list[float]:
    """Compute the validation mAP of each of a learner's teachers, in [0, 1]; NaN if undefined.

    The model is the learner's, with raw or averaged weights. Logits that are not all finite are a
    `TrainingError`. Ranks divide the images among them, and all get the same scores.
    """
    total, scores = len(data.validation_rows), [math.nan] * len(task.groups[index])
    if not total:
        return scores
    part, labels = own_part(total), task.columns[index]
    logits = np.zeros((0, labels.stop - labels.start), np.float32)
    if part.stop > part.start:
        logits = predict_batches(model, data.validation_batches(fabric), fabric)
    logits = gather_rows(logits, total)
    if rank() == 0:
        if not np.isfinite(logits).all():
            raise _diverged(task.name, "the model's logits on validation are not all finite")
        scores = task.scores(index, logits, data.validation_states)
    return share_scores(scores)


def _accumulation_share(number: int, num_batches: int, options: TrainingOptions) -> int:
    """Batches that share the optimiser step of this one; 1 where losses are summed."""
    if options.reduction == "sum":
        return 1
    # the last step of an epoch may have fewer batches
    group = (number - 1) // options.accumulation
    return min(options.accumulation, num_batches - group * options.accumulation)


def _add_means(
    sums: dict[str, torch.Tensor], terms: Mapping[str, torch.Tensor], num_batches: int
) -> None:
    """Add a batch's share to the epoch's mean of every term."""
    # They stay on the device and are read once an epoch: reading waits for the device.
    for name, value in terms.items():
        mean = value.detach() / num_batches
        sums[name] = sums.get(name, torch.zeros_like(mean)) + mean


def _loss_figures(
    sums: Mapping[str, torch.Tensor], learner: Learner, epoch: int, name: str
) -> dict[str, float]:
    means = mean_over_ranks(sums)
    figures = {term if term == "loss" else f"loss_{term}": mean for term, mean in means.items()}
    if not math.isfinite(figures["loss"]):
        raise _diverged(name, f"the loss is {figures['loss']} in epoch {epoch}")
    return {**figures, "learning_rate": float(max(learner.schedule.get_last_lr()))}


def _diverged(name: str, symptom: str) -> TrainingError:
    return TrainingError(
        f"{name}: {symptom}; lower training.learning_rate",
        name=name,
        parameter="training.learning_rate",
    )


def _log_outcome(task: TrainingTask, state: TrainingState) -> None:
    for index, learner in enumerate(state.learners):
        best = learner.best
        log.info(
            "%s: trained in %.1f s, best validation mAP %s (epoch %d, %s)",
            task.learner_name(index),
            state.seconds / len(state.learners),
            "undefined" if math.isnan(best.score) else f"{100 * best.score:.1f} %",
            best.epoch,
            "averaged weights" if best.averaged else "raw weights",
        )

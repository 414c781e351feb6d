"""Average of the weights of two models that started from the same initial weights."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn
from torch.optim.swa_utils import update_bn

from mlic.errors import CheckpointError, TrainingError
from mlic.evaluation.metrics import mean_average_precision
from mlic.training.checkpoint import Averaging, Checkpoint
from mlic.training.data import EVAL_BATCH_FACTOR, make_sampler, read_images
from mlic.training.device import make_fabric, memory_advice
from mlic.training.distillation_options import MIDDLE_SHARE, AveragingOptions
from mlic.training.job import TrainingJob
from mlic.training.predict import predict_batches
from mlic.utils.progress import progress
from mlic.utils.seeds import derive_seed

__all__ = ["average_checkpoints", "average_weights"]

log = logging.getLogger(__name__)

Weights = dict[str, NDArray[Any]]


def average_weights(one: Mapping[str, NDArray[Any]], other: Weights, share: float) -> Weights:
    """Average weights by name: ``(1 − share) · one + share · other``.

    The result has the other's dtypes. Integers, such as the counters of batch norms, are the
    other's.

    Examples
    --------
    >>> one, other = ({"w": np.float32([0, 2])}, {"w": np.float32([4, 2])})
    >>> average_weights(one, other, 0.25)["w"].tolist()
    [1.0, 2.0]
    """
    return {
        name: _mix(one[name], value, share) if np.issubdtype(value.dtype, np.floating) else value
        for name, value in other.items()
    }


def _mix(one: NDArray[Any], other: NDArray[Any], share: float) -> NDArray[Any]:
    mixed = (1 - share) * one.astype(np.float64) + share * other.astype(np.float64)
    return mixed.astype(other.dtype)


def average_checkpoints(
    baseline: Checkpoint, student: Checkpoint, job: TrainingJob, options: AveragingOptions
) -> Checkpoint:
    """Average the weights of baseline and student by the share that is best on validation [1]_.

    The statistics of the batch norms are estimated anew for every average, on views of training
    images. The student is returned as it was if no average is better, or if the mean of the two has
    a lower validation mAP than the two have on average: a barrier then lies between them, and an
    average at another share would be better by chance alone.

    Parameters
    ----------
    baseline, student
        Two models of the same architecture that started from the same initial weights.
    job
        The student's training, for images, labels and options.
    options
        Shares to try, and number of images for the batch norms.

    Returns
    -------
    Checkpoint
        The student with its new weights; ``info.averaging`` records what was tried.

    Raises
    ------
    CheckpointError
        If the models differ in architecture or labels.
    TrainingError
        If there are no validation images to choose by, or memory runs out.

    References
    ----------
    .. [1] Wortsman et al., "Model soups", ICML 2022, arXiv:2203.05482.
    """
    _check_alike(baseline, student)
    ends = [_validation_map(one) for one in (baseline, student)]
    start = time.perf_counter()
    found = {1.0: (ends[1], student.weights)}
    with memory_advice(job.options, "the average"):
        tried = sorted({*options.shares, MIDDLE_SHARE})
        for share in progress(tried, what="averages", unit="model"):
            weights = average_weights(baseline.weights, student.weights, share)
            found[share] = _evaluate(weights, student, job, options.images)
    barrier = sum(ends) / 2 - found[MIDDLE_SHARE][0]
    allowed = {1.0} if barrier > 0 else {1.0, *options.shares}
    best = max(sorted(allowed, reverse=True), key=lambda share: found[share][0])
    record = Averaging(
        share=best,
        images=_count_images(job, options.images),
        barrier=barrier,
        validation_maps={**{share: score for share, (score, _) in found.items()}, 0.0: ends[0]},
        baseline=baseline.fingerprint,
        student=student.fingerprint,
    )
    _log(record)
    score, weights = found[best]
    info = student.info.model_copy(
        update={
            "averaging": record,
            "validation_map": score,
            "seconds": student.info.seconds + time.perf_counter() - start,
        }
    )
    return Checkpoint(weights, info)


def _check_alike(baseline: Checkpoint, student: Checkpoint) -> None:
    student.space.require_same(baseline.space, "the student", "the baseline")
    shapes = [{n: v.shape for n, v in one.weights.items()} for one in (baseline, student)]
    if shapes[0] != shapes[1] or baseline.input_spec != student.input_spec:
        raise CheckpointError(
            "baseline and student differ in their architecture or their input, so that their "
            "weights have no average: train both with the same model and data",
            name=student.info.name,
        )


def _validation_map(checkpoint: Checkpoint) -> float:
    if (score := checkpoint.info.validation_map) is None:
        raise TrainingError(
            f"{checkpoint.info.name}: no validation mAP is defined, so that no average can be "
            "chosen: give the data set validation images, or set averaging.enabled to false",
            name=checkpoint.info.name,
            parameter="averaging.enabled",
        )
    return score


def _evaluate(
    weights: Weights, student: Checkpoint, job: TrainingJob, images: int
) -> tuple[float, Weights]:
    """Estimate the batch norms of averaged weights; validation mAP in [0, 1], and the weights."""
    fabric = make_fabric(job.options)
    model = Checkpoint(weights, student.info).build().to(memory_format=torch.channels_last)
    placed: nn.Module = fabric.to_device(model)
    with fabric.autocast():
        update_bn(_training_batches(student, job, fabric, images), placed)
    rows, size = job.labels.rows("validation"), job.options.batch_size * EVAL_BATCH_FACTOR
    batches = read_images(job.images, rows, student.input_spec, fabric, size)
    logits = predict_batches(placed.eval(), batches, fabric)
    score = mean_average_precision(logits, job.labels.states[rows])
    estimated = {n: v.detach().cpu().numpy() for n, v in placed.state_dict().items()}
    return -math.inf if math.isnan(score) else score, estimated


def _training_batches(
    student: Checkpoint, job: TrainingJob, fabric: Fabric, images: int
) -> Iterator[torch.Tensor]:
    """Views of some training images, the same in every run; shape (B, 3, H, W)."""
    # The statistics are to be those of the training, which saw views, not whole images.
    rng = np.random.default_rng(derive_seed(job.view_seed, "averaging"))
    chosen = rng.permutation(job.train_rows)[: _count_images(job, images)]
    view, spec = (make_sampler(job), 0), student.input_spec
    return read_images(job.images, chosen, spec, fabric, job.options.batch_size, view)


def _count_images(job: TrainingJob, images: int) -> int:
    """Images for the batch norms, without a last batch of one, which has no variance."""
    number = min(images, len(job.train_rows))
    return number - (number % job.options.batch_size == 1)


def _log(record: Averaging) -> None:
    if record.barrier > 0:
        log.warning(
            "the mean of baseline and student has a validation mAP %.1f points below that of the "
            "two: the student is not averaged",
            100 * record.barrier,
        )
        return
    scores = sorted(record.validation_maps.items())
    tried = ", ".join(f"{share:g}: {100 * score:.1f} %" for share, score in scores)
    log.info("averaged student: share %g; validation mAP by share %s", record.share, tried)

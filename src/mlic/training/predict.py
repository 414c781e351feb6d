"""Logits of a model for stored images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn

from mlic.images.store import ImageStore
from mlic.models.input_spec import InputSpec
from mlic.training.checkpoint import Checkpoint
from mlic.training.data import make_sampler, read_images
from mlic.training.device import make_fabric, memory_advice, send
from mlic.training.job import TrainingJob
from mlic.training.options import TrainingOptions
from mlic.utils.progress import progress

__all__ = [
    "block_starts",
    "predict_batches",
    "predict_checkpoint",
    "predict_training_views",
    "predict_views",
]

BLOCK_IMAGES = 2**14  # about as many images have their logits in memory at a time


def predict_batches(
    model: nn.Module,
    batches: Iterator[torch.Tensor],
    fabric: Fabric,
    known: NDArray[np.int8] | None = None,
) -> NDArray[np.float32]:
    """Compute logits of shape (n, C), float32, in evaluation mode, batch by batch.

    Model and batches are on the device. The model's mode is restored afterwards. The known states,
    if any, have the shape (n, C).
    """
    was_training, start = model.training, 0
    model.eval()
    logits = []
    # Under mixed precision logits are in half precision; metrics and targets want float32.
    with torch.inference_mode(), fabric.autocast():
        for images in batches:
            if known is None:
                found = model(images)
            else:
                found = model(images, send(known[start : start + len(images)], fabric))
                start += len(images)
            logits.append(found.float().cpu())
    model.train(was_training)
    return torch.cat(logits).numpy()


def predict_checkpoint(
    checkpoint: Checkpoint,
    images: ImageStore,
    rows: NDArray[np.intp],
    options: TrainingOptions,
    known: NDArray[np.int8] | None = None,
) -> NDArray[np.float32]:
    """Compute a checkpoint's logits for whole images; shape (n, C), float32.

    The options decide batch size, precision and threads. The known states of these images, if any,
    have the shape (n, C). A `TrainingError` says if memory runs out.
    """
    fabric = make_fabric(options)
    model = _place(checkpoint.build(), fabric)
    with memory_advice(options, checkpoint.info.name):
        spec, size = checkpoint.input_spec, options.batch_size
        batches = read_images(images, rows, spec, fabric, size)
        return predict_batches(model, batches, fabric, known)


def predict_training_views(
    job: TrainingJob, checkpoint: Checkpoint
) -> Iterator[NDArray[np.float32]]:
    """Compute a checkpoint's logits for a job's training images; see `predict_views`."""
    yield from predict_views(job, checkpoint.build(), checkpoint.input_spec, checkpoint.info.name)


def predict_views(
    job: TrainingJob, model: nn.Module, spec: InputSpec, name: str
) -> Iterator[NDArray[np.float32]]:
    """Compute a model's logits for every view of a job's training images.

    The name stands in the progress bar.

    Yields
    ------
    numpy.ndarray
        Logits of a block of consecutive images, first those of the first view; shape (m, C),
        float32.
    """
    options, fabric, sampler = job.options, make_fabric(job.options), make_sampler(job)
    model, size = _place(model, fabric), options.batch_size
    starts = block_starts(len(job.train_rows), size)
    blocks = [(view, start) for view in range(sampler.num_views) for start in starts]
    with memory_advice(options, name):
        for view, start in progress(blocks, what=f"{name}: logits", unit="block"):
            rows = job.train_rows[start : start + starts.step]
            batches = read_images(job.images, rows, spec, fabric, size, (sampler, view))
            yield predict_batches(model, batches, fabric)


def block_starts(num_images: int, batch_size: int) -> range:
    """First images of blocks of whole batches, which do not take much memory.

    Examples
    --------
    >>> list(block_starts(20_000, batch_size=5_000))
    [0, 15000]
    """
    return range(0, num_images, max(BLOCK_IMAGES // batch_size, 1) * batch_size)


def _place(model: nn.Module, fabric: Fabric) -> nn.Module:
    # the memory format of training, so that the same kernels run
    placed: nn.Module = fabric.to_device(model.to(memory_format=torch.channels_last))
    return placed

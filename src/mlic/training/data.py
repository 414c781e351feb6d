"""Batches of a training: shuffled views of the training images, and the validation images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from mlic.images.augmentation import ViewSampler
from mlic.images.preprocess import preprocess_views, preprocess_whole
from mlic.images.store import ImageStore
from mlic.models.input_spec import InputSpec
from mlic.training.batch import Batch
from mlic.training.device import send
from mlic.training.job import TrainingJob
from mlic.training.prefetch import prefetch

__all__ = ["EVAL_BATCH_FACTOR", "ImageData", "TrainingData", "View", "read_images"]

View = tuple[ViewSampler, int]  # the sampler, and the number of the view

# Evaluation needs no gradients, so that several batches fit into the memory of one training step.
EVAL_BATCH_FACTOR = 4


class TrainingData(ABC):
    """Training and validation data of one task.

    Parameters
    ----------
    job
        The training, or any of several that share images, split and views.
    states
        Label states of all images; shape (n, C).
    """

    def __init__(self, job: TrainingJob, states: NDArray[np.int8]) -> None:
        self.job, self.states = job, states
        self.train_rows = job.train_rows
        self.validation_rows = job.labels.rows("validation")
        self.num_batches = job.num_batches
        self.num_views = job.options.augmentation.views

    @property
    def validation_states(self) -> NDArray[np.int8]:
        """Label states of the validation images; shape (m, C)."""
        return self.states[self.validation_rows]

    def batches(self, epoch: int, order: np.random.Generator, fabric: Fabric) -> Iterator[Batch]:
        """Shuffled batches of one epoch.

        Parameters
        ----------
        epoch
            Number of the epoch, from 1; it decides the view of every image.
        order
            Generator that shuffles the images.
        fabric
            Device of the batches.
        """
        view = (epoch - 1) % self.num_views
        positions = self._shuffle(order)
        ahead = fabric.device.type != "cpu"
        for batch, read in prefetch(positions, lambda batch: self._read(batch, view), ahead):
            rows = self.train_rows[batch]
            yield Batch(
                images=self._preprocess(read, rows, view, fabric),
                states=send(self.states[rows], fabric),
                rows=rows,
                soft_targets=self._soft_targets(batch, view, fabric),
            )

    def _shuffle(self, order: np.random.Generator) -> Iterator[NDArray[np.intp]]:
        """Positions among the training rows, one array for each batch."""
        shuffled = order.permutation(len(self.train_rows))
        size = self.job.options.batch_size
        for number in range(self.num_batches):
            yield shuffled[number * size : (number + 1) * size]

    def _soft_targets(
        self, batch: NDArray[np.intp], view: int, fabric: Fabric
    ) -> dict[str, torch.Tensor]:
        targets = self.job.targets
        if targets is None:
            return {}
        read = targets.read(view, batch)
        return {strategy: send(logits, fabric).float() for strategy, logits in read.items()}

    @abstractmethod
    def validation_batches(self, fabric: Fabric) -> Iterator[torch.Tensor]:
        """Model inputs of the validation images, in order."""

    @abstractmethod
    def _read(self, batch: NDArray[np.intp], view: int) -> NDArray[Any]:
        """Read what the CPU reads for a batch; may run in another thread."""

    @abstractmethod
    def _preprocess(
        self, read: NDArray[Any], rows: NDArray[np.intp], view: int, fabric: Fabric
    ) -> torch.Tensor:
        """Turn what was read into the model's input, on the device."""


class ImageData(TrainingData):
    """Views of stored images.

    Parameters
    ----------
    job, states
        See `TrainingData`.
    spec
        Size and normalisation of the model's input.
    """

    def __init__(self, job: TrainingJob, states: NDArray[np.int8], spec: InputSpec) -> None:
        super().__init__(job, states)
        options = job.options
        ids = job.images.ids.tolist()
        self.spec = spec
        self.views = ViewSampler(ids, options.augmentation, job.view_seed, options.threads)

    def validation_batches(self, fabric: Fabric) -> Iterator[torch.Tensor]:
        """Whole validation images; shape (B, 3, H, W)."""
        size = self.job.options.batch_size * EVAL_BATCH_FACTOR
        yield from read_images(self.job.images, self.validation_rows, self.spec, fabric, size)

    def _read(self, batch: NDArray[np.intp], view: int) -> NDArray[np.uint8]:
        return _read_pixels(self.job.images, self.train_rows[batch], (self.views, view))

    def _preprocess(
        self, read: NDArray[Any], rows: NDArray[np.intp], view: int, fabric: Fabric
    ) -> torch.Tensor:
        return _preprocess_pixels(read, rows, (self.views, view), self.spec, fabric)


def read_images(
    images: ImageStore,
    rows: NDArray[np.intp],
    spec: InputSpec,
    fabric: Fabric,
    batch_size: int,
    view: View | None = None,
) -> Iterator[torch.Tensor]:
    """Read and preprocess images in order, batch by batch.

    Parameters
    ----------
    images, rows
        The images to read; rows of shape (n,).
    spec
        Size and normalisation of the model's input.
    fabric
        Device of the batches.
    batch_size
        Images in a batch.
    view
        A view sampler and the number of the view; None for the whole image.

    Yields
    ------
    torch.Tensor
        Shape (B, 3, H, W), float32.
    """
    batches = (rows[start : start + batch_size] for start in range(0, len(rows), batch_size))
    ahead = fabric.device.type != "cpu"
    for batch, pixels in prefetch(batches, lambda rows: _read_pixels(images, rows, view), ahead):
        yield _preprocess_pixels(pixels, batch, view, spec, fabric)


def _read_pixels(
    images: ImageStore, rows: NDArray[np.intp], view: View | None
) -> NDArray[np.uint8]:
    """Read stored pixels and augment them as far as the CPU does it; shape (B, H, W, 3)."""
    stored = np.asarray(images.pixels[rows])
    return stored if view is None else view[0].augment(stored, rows, view[1])


def _preprocess_pixels(
    pixels: NDArray[np.uint8],
    rows: NDArray[np.intp],
    view: View | None,
    spec: InputSpec,
    fabric: Fabric,
) -> torch.Tensor:
    """Crop, resize and normalise on the device; shape (B, 3, size, size), float32."""
    stored = send(pixels, fabric)
    if view is None or not view[0].crops:
        return preprocess_whole(stored, *spec)
    return preprocess_views(stored, send(view[0].boxes(rows, view[1]), fabric), *spec)

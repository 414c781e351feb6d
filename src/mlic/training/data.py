"""Batches of a training: shuffled views of the training images, and the validation images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import islice
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
from mlic.training.label_mask import LabelMask
from mlic.training.prefetch import prefetch
from mlic.training.ranks import batch_part, num_ranks, own_part
from mlic.training.splicing import Splicer

__all__ = ["EVAL_BATCH_FACTOR", "ImageData", "TrainingData", "View", "make_sampler", "read_images"]

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
        Label states of all images; shape (n, C), int8.
    mask
        Which states the model is shown; None if its head has no use for them.
    splicer
        Splices images of every batch; None if none are spliced.
    """

    def __init__(
        self,
        job: TrainingJob,
        states: NDArray[np.int8],
        mask: LabelMask | None = None,
        splicer: Splicer | None = None,
    ) -> None:
        self.job, self.states, self.mask, self.splicer = job, states, mask, splicer
        self.train_rows = job.train_rows
        self.validation_rows = job.labels.rows("validation")
        self.num_batches = job.num_batches
        self.num_views = job.options.augmentation.views

    @property
    def validation_states(self) -> NDArray[np.int8]:
        """Label states of the validation images; shape (m, C)."""
        return self.states[self.validation_rows]

    def batches(
        self, epoch: int, order: np.random.Generator, fabric: Fabric, skip: int = 0
    ) -> Iterator[Batch]:
        """Batches of one epoch, counted from 1, shuffled by the generator `order`.

        So many of the first ones are left out, and are not read; the others are the same. Every
        rank has its part of each batch, of the same order.
        """
        # Views repeat after `num_views` epochs, because teachers store logits for each of them.
        view = (epoch - 1) % self.num_views
        positions = self._shuffle(order)
        draw = self.mask.start(epoch) if self.mask else None
        splice = self.splicer.start(epoch, skip) if self.splicer else None
        for batch in islice(positions, skip):
            if draw:  # the masks of all batches come from one stream
                draw(self.states[self.train_rows[batch]])
        # Where the CPU also trains, a reading thread would only take its cores.
        ahead = fabric.device.type != "cpu"

        def read_own(batch: NDArray[np.intp]) -> NDArray[Any]:
            return self._read(batch[batch_part(len(batch))], view)

        for whole, read in prefetch(positions, read_own, ahead):
            own = batch_part(len(whole))
            batch = whole[own]
            rows = self.train_rows[batch]
            # drawn for the whole batch, so that the draws do not depend on the number of ranks
            known = draw(self.states[self.train_rows[whole]])[own] if draw else None
            images = self._preprocess(read, rows, epoch, view, fabric)
            states = send(self.states[rows], fabric)
            yield Batch(
                images=images,
                states=states,
                rows=rows,
                known=None if known is None else send(known, fabric),
                soft_targets=self._soft_targets(batch, view, fabric),
                splices=splice(images, states) if splice else None,
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
        # Soft targets hold training images only, so they take positions, not rows of the data set.
        read = targets.read(view, batch)
        return {strategy: send(logits, fabric).float() for strategy, logits in read.items()}

    @abstractmethod
    def validation_batches(self, fabric: Fabric) -> Iterator[torch.Tensor]:
        """Model inputs of the validation images, in order; of this rank's part of them."""

    @abstractmethod
    def _read(self, batch: NDArray[np.intp], view: int) -> NDArray[Any]:
        """Read what the CPU reads for a batch; may run in another thread."""

    @abstractmethod
    def _preprocess(
        self, read: NDArray[Any], rows: NDArray[np.intp], epoch: int, view: int, fabric: Fabric
    ) -> torch.Tensor:
        """Turn what was read into the model's input, on the device."""


class ImageData(TrainingData):
    """Views of stored images, preprocessed for a model's input; see `TrainingData`."""

    def __init__(
        self,
        job: TrainingJob,
        states: NDArray[np.int8],
        spec: InputSpec,
        mask: LabelMask | None = None,
        splicer: Splicer | None = None,
    ) -> None:
        super().__init__(job, states, mask, splicer)
        self.spec, self.views = spec, make_sampler(job)

    def validation_batches(self, fabric: Fabric) -> Iterator[torch.Tensor]:
        """Whole validation images; shape (B, 3, H, W)."""
        size = -(-self.job.options.batch_size // num_ranks()) * EVAL_BATCH_FACTOR
        rows = self.validation_rows[own_part(len(self.validation_rows))]
        yield from read_images(self.job.images, rows, self.spec, fabric, size)

    def _read(self, batch: NDArray[np.intp], view: int) -> NDArray[np.uint8]:
        return _read_pixels(self.job.images, self.train_rows[batch], (self.views, view))

    def _preprocess(
        self, read: NDArray[Any], rows: NDArray[np.intp], epoch: int, view: int, fabric: Fabric
    ) -> torch.Tensor:
        # the same crops at another resolution, so that a view stays a view
        spec = self.spec._replace(size=self.job.options.size_at(epoch) or self.spec.size)
        return _preprocess_pixels(read, rows, (self.views, view), spec, fabric)


def make_sampler(job: TrainingJob) -> ViewSampler:
    """Make the sampler of a job's views: the same views for all jobs of a run."""
    options = job.options
    return ViewSampler(job.images.ids, options.augmentation, job.view_seed, options.threads)


def read_images(
    images: ImageStore,
    rows: NDArray[np.intp],
    spec: InputSpec,
    fabric: Fabric,
    batch_size: int,
    view: View | None = None,
) -> Iterator[torch.Tensor]:
    """Read and preprocess images in order, batch by batch.

    Without a view, the whole images are read. Every batch is on the device and has the shape
    (B, 3, size, size), float32.
    """
    batches = (rows[start : start + batch_size] for start in range(0, len(rows), batch_size))
    ahead = fabric.device.type != "cpu"
    for batch, pixels in prefetch(batches, lambda rows: _read_pixels(images, rows, view), ahead):
        yield _preprocess_pixels(pixels, batch, view, spec, fabric)


def _read_pixels(
    images: ImageStore, rows: NDArray[np.intp], view: View | None
) -> NDArray[np.uint8]:
    """Read stored pixels and augment them as far as the CPU does it; shape (B, H, W, 3)."""
    stored = images.read(rows)
    return stored if view is None else view[0].augment(stored, rows, view[1])


def _preprocess_pixels(
    pixels: NDArray[np.uint8],
    rows: NDArray[np.intp],
    view: View | None,
    spec: InputSpec,
    fabric: Fabric,
) -> torch.Tensor:
    """Crop, resize and normalise on the device; shape (B, 3, size, size), float32."""
    # uint8 is sent, a quarter of the bytes of float32; the device does the rest
    stored = send(pixels, fabric)
    if view is None or not view[0].crops:
        return preprocess_whole(stored, *spec)
    return preprocess_views(stored, send(view[0].boxes(rows, view[1]), fabric), *spec)

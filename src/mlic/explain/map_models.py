"""Class maps of several checkpoints for the labels that some images carry."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from mlic.explain.activation import attention_maps, class_activation
from mlic.explain.class_maps import ClassMaps
from mlic.images.preprocess import preprocess_whole
from mlic.labels import PRESENT, LabelMatrix
from mlic.training.device import make_fabric, memory_advice

if TYPE_CHECKING:
    from mlic.images.store import ImageStore
    from mlic.training.checkpoint import Checkpoint
    from mlic.training.options import TrainingOptions

__all__ = ["map_checkpoint", "map_models"]

logger = logging.getLogger(__name__)


def map_models(
    checkpoints: Iterable[Checkpoint],
    images: ImageStore,
    labels: LabelMatrix,
    options: TrainingOptions,
    min_cells: int,
) -> ClassMaps:
    """Map every label that some images carry, with every model that knows it.

    Parameters
    ----------
    checkpoints
        The models, in the order in which their maps will stand.
    images
        Where the images are stored.
    labels
        The images to look at, and what they carry.
    options
        Threads, precision and batch size.
    min_cells
        As of `map_checkpoint`.

    Returns
    -------
    ClassMaps
        A pair for each present state of ``labels``, row by row.
    """
    holders, columns = np.nonzero(labels.states == PRESENT)
    rows = images.rows(labels.ids)[holders]
    names = np.asarray(labels.space.names)[columns]
    maps = {}
    for checkpoint in checkpoints:
        space = checkpoint.space
        known = np.flatnonzero(np.isin(names, space.names))
        own = np.asarray(space.indices(names[known]), dtype=np.intp)
        found = map_checkpoint(checkpoint, images, rows[known], own, options, min_cells)
        if found is not None:
            every = np.full((len(names), *found.shape[1:]), np.nan, dtype=np.float32)
            every[known] = found
            maps[checkpoint.info.name] = every
    return ClassMaps(labels.ids[holders], names, maps)


def map_checkpoint(
    checkpoint: Checkpoint,
    images: ImageStore,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    options: TrainingOptions,
    min_cells: int,
) -> NDArray[np.float32] | None:
    """Map pairs of image and label with a checkpoint's model.

    Parameters
    ----------
    checkpoint
        The model.
    images
        Where the images are stored.
    rows, columns
        Row in the store and column of the model's logits of each pair; shape (n,).
    options
        Threads, precision and batch size.
    min_cells
        Cells a side that a map of a pooling head has at least, if any stage of the backbone has
        as many.

    Returns
    -------
    numpy.ndarray or None
        Shape (n, h, w), float32; None where there is no pair, or where the backbone's features
        have no place in the image, which is logged.
    """
    fabric = make_fabric(options)
    model: Any = fabric.to_device(checkpoint.build().to(memory_format=torch.channels_last))
    model.eval().requires_grad_(False)
    info, pairs, maps = checkpoint.info, [], []
    frame = (info.image_size, info.mean, info.std)
    with memory_advice(options, info.name), fabric.autocast():
        for held, batch in _batches(rows, options.batch_size):
            pixels = torch.from_numpy(np.asarray(images.pixels[batch]))
            inputs = preprocess_whole(fabric.to_device(pixels), *frame)
            which, wanted = np.searchsorted(batch, rows[held]), columns[held]
            found = _map_batch(model, inputs, which, wanted, min_cells)
            if found is None:
                logger.warning(
                    "There are no class maps of %s: features of the backbone %s have no place in "
                    "the image.",
                    info.name,
                    info.model.backbone,
                )
                return None
            pairs.append(held)
            maps.append(found)
    return np.concatenate(maps)[np.argsort(np.concatenate(pairs))] if maps else None


def _batches(
    rows: NDArray[np.intp], size: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Pairs whose images make up a batch, and those images' rows, ascending."""
    unique = np.unique(rows)
    for start in range(0, len(unique), size):
        batch = unique[start : start + size]
        yield np.flatnonzero(np.isin(rows, batch)), batch


def _map_batch(
    model: Any,
    inputs: torch.Tensor,
    which: NDArray[np.intp],
    columns: NDArray[np.intp],
    min_cells: int,
) -> NDArray[np.float32] | None:
    """Maps of whichever kind the head has."""
    picked = torch.from_numpy(which).to(inputs.device)
    wanted = torch.from_numpy(columns).to(inputs.device)
    if hasattr(model.head, "attention"):
        found: torch.Tensor | None = attention_maps(model, inputs, picked, wanted)
    else:
        found = class_activation(model, inputs, picked, wanted, min_cells)
    return None if found is None else found.float().cpu().numpy()

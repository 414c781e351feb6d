"""Class maps of several checkpoints for the labels that are present in some images."""

import logging
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mlic.explain.activation import attention_maps, class_activation
from mlic.explain.class_maps import ClassMaps
from mlic.images.preprocess import preprocess_whole
from mlic.images.store import ImageStore
from mlic.labels import PRESENT, LabelMatrix
from mlic.training.checkpoint import Checkpoint
from mlic.training.device import make_fabric, memory_advice
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
    """Compute a class map for every present label, with every model trained on that label.

    The result has one pair for each present state of ``labels``, row by row, and the models in the
    order of ``checkpoints``. For ``options`` and ``min_cells`` see `map_checkpoint`. An image that
    is not in the store is a DataError.
    """
    image_index, columns = np.nonzero(labels.states == PRESENT)
    rows = images.rows(labels.ids)[image_index]
    names = np.asarray(labels.space.names)[columns]
    maps = {}
    for checkpoint in checkpoints:
        space = checkpoint.space
        known = np.flatnonzero(np.isin(names, space.names))
        own = np.asarray(space.indices(names[known]), dtype=np.intp)
        found = map_checkpoint(checkpoint, images, rows[known], own, options, min_cells)
        # A teacher is trained on some labels only: the pairs of all others stay NaN.
        if found is not None:
            every = np.full((len(names), *found.shape[1:]), np.nan, dtype=np.float32)
            every[known] = found
            maps[checkpoint.info.name] = every
    return ClassMaps(labels.ids[image_index], names, maps)


def map_checkpoint(
    checkpoint: Checkpoint,
    images: ImageStore,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    options: TrainingOptions,
    min_cells: int,
) -> NDArray[np.float32] | None:
    """Compute the class maps of pairs of an image and a label with one model.

    Parameters
    ----------
    checkpoint
        The model.
    images
        Store that contains the images.
    rows, columns
        Row in the store and column of the model's logits, for each of n pairs; shape (n,).
    options
        Number of threads, precision and batch size.
    min_cells
        Smallest number of cells along a side of a map of a pooling head, if any stage of the
        backbone has that many.

    Returns
    -------
    numpy.ndarray or None
        Maps, float32; shape (n, h, w). None if there is no pair, or if the backbone outputs
        tokens without a position in the image; the latter is logged as a warning.
    """
    fabric = make_fabric(options)
    # Another memory format than in training and prediction would change the last digits.
    model: Any = fabric.to_device(checkpoint.build().to(memory_format=torch.channels_last))
    model.eval().requires_grad_(False)
    info, pairs, maps = checkpoint.info, [], []
    normalisation = (info.image_size, info.mean, info.std)
    with memory_advice(options, info.name), fabric.autocast():
        for members, batch in _batches(rows, options.batch_size):
            pixels = torch.from_numpy(images.read(batch))
            inputs = preprocess_whole(fabric.to_device(pixels), *normalisation)
            # The rows of a batch are sorted, so that a binary search finds the image of each pair.
            which, wanted = np.searchsorted(batch, rows[members]), columns[members]
            found = _map_batch(model, inputs, which, wanted, min_cells)
            if found is None:
                reason = f"{info.model.backbone} outputs tokens without a position in the image"
                logger.warning("There are no class maps of %s: %s.", info.name, reason)
                return None
            pairs.append(members)
            maps.append(found)
    # Batches are in the order of the store: sort the maps back into the order of the pairs.
    return np.concatenate(maps)[np.argsort(np.concatenate(pairs))] if maps else None


def _batches(
    rows: NDArray[np.intp], size: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield the indices of the pairs of each batch, and the ascending rows of its images."""
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
    """Compute attention maps if the head attends, class activation maps otherwise."""
    image, label = (torch.from_numpy(index).to(inputs.device) for index in (which, columns))
    if hasattr(model.head, "attention"):
        return attention_maps(model, inputs, image, label).float().cpu().numpy()
    found = class_activation(model, inputs, image, label, min_cells)
    return None if found is None else found.float().cpu().numpy()

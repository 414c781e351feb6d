"""Collect predictions, class maps and descriptions of several models.

Every function takes checkpoints, and results that were collected before, in any order: the results
of the teachers are collected first, and those of the other models are added to them. ``labels`` has
the images to predict or map and the label space of the run, ``training`` the number of threads, the
precision and the batch size. An image that is not in the store is a DataError.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlic.errors import CheckpointError
from mlic.evaluation.predictions import Predictions
from mlic.explain.class_maps import ClassMaps
from mlic.explain.map_models import map_models
from mlic.images.store import ImageStore
from mlic.labels import LabelMatrix
from mlic.training.checkpoint import Checkpoint
from mlic.training.options import TrainingOptions
from mlic.training.predict import predict_checkpoint

__all__ = ["collect_class_maps", "collect_predictions", "describe_trainings"]

ADJACENCY = "head.adjacency"  # of heads with a label graph: row c weights what label c receives


def collect_predictions(
    models: Iterable[Checkpoint | Predictions],
    images: ImageStore,
    labels: LabelMatrix,
    training: TrainingOptions,
) -> Predictions:
    """Predict some images with every checkpoint, and join the results with earlier predictions.

    Raises
    ------
    CheckpointError
        If two models have the same name.
    DataError, LabelError
        If earlier predictions are of other images, or a label of a model is unknown.
    """
    logits: dict[str, NDArray[np.float32]] = {}
    names: dict[str, tuple[str, ...]] = {}
    for model in models:
        if isinstance(model, Predictions):
            found = model
        else:
            found = _predict(model, images, labels, training)
        # Earlier predictions may be left over from a run with another split.
        found.require_images(labels.ids)
        if duplicates := logits.keys() & found.logits.keys():
            raise CheckpointError(
                f"two checkpoints are named '{min(duplicates)}': give the partitions different "
                "strategies",
                name=min(duplicates),
            )
        logits |= found.logits
        names |= found.labels
    return Predictions(labels.ids, logits, names)


def _predict(
    checkpoint: Checkpoint, images: ImageStore, labels: LabelMatrix, training: TrainingOptions
) -> Predictions:
    name, own = checkpoint.info.name, checkpoint.info.labels
    labels.space.indices(own)  # raises a LabelError for unknown labels before the slow part
    logits = predict_checkpoint(checkpoint, images, images.rows(labels.ids), training)
    return Predictions(labels.ids, {name: logits}, {name: own})


def collect_class_maps(
    models: Iterable[Checkpoint | ClassMaps],
    images: ImageStore,
    labels: LabelMatrix,
    training: TrainingOptions,
    min_cells: int,
) -> ClassMaps:
    """Map some images with every checkpoint, and join the results with earlier class maps.

    The maps have at least ``min_cells`` cells along a side. Earlier class maps of other pairs of
    image and label are a DataError.
    """
    # Without a model: the pairs alone, which all maps must have in common.
    found = map_models([], images, labels, training, min_cells)
    for model in models:
        if isinstance(model, ClassMaps):
            found = found.join(model)
        else:
            found = found.join(map_models([model], images, labels, training, min_cells))
    return found


def describe_trainings(models: Iterable[Checkpoint | dict[str, Any]]) -> dict[str, Any]:
    """Return the metadata of each checkpoint with its ``fingerprint``, by model name.

    A head with a label graph adds ``label_graph``: for each label those that it receives from.
    """
    described: dict[str, Any] = {}
    for model in models:
        if isinstance(model, dict):
            described |= model
        else:
            metadata = model.info.model_dump(mode="json")
            own = {**metadata, "fingerprint": model.fingerprint}
            if (adjacency := model.weights.get(ADJACENCY)) is not None:
                own["label_graph"] = _name_neighbours(adjacency, model.info.labels)
            described[model.info.name] = own
    return described


def _name_neighbours(
    adjacency: NDArray[np.floating], labels: tuple[str, ...]
) -> dict[str, list[str]]:
    """Name the labels that each label receives from, itself left out."""
    weights = adjacency * (1 - np.eye(len(labels)))
    return {
        label: [labels[other] for other in np.argsort(-row, kind="stable") if row[other] > 0]
        for label, row in zip(labels, weights, strict=True)
    }

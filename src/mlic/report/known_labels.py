"""What known labels are worth to the models of a run, and what one label changes in the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlic.evaluation.known_labels import LEVELS, LabelMasks
from mlic.evaluation.metrics import mean_average_precision
from mlic.explain.class_maps import choose_images
from mlic.images.store import ImageStore
from mlic.labels import PRESENT, UNKNOWN, LabelMatrix
from mlic.models.options import HEADS
from mlic.training.checkpoint import Checkpoint
from mlic.training.options import TrainingOptions
from mlic.training.predict import predict_checkpoint
from mlic.utils.plugins import find_plugin

__all__ = ["measure_interventions", "score_known_labels"]

SAID = 8  # labels that are said to be present, the most frequent ones
IMAGES = 64  # test images whose probabilities are compared
NAMED = 3  # labels that change most in either direction


def score_known_labels(
    models: Sequence[Checkpoint],
    images: ImageStore,
    test: LabelMatrix,
    masks: LabelMasks,
    training: TrainingOptions,
) -> dict[str, dict[str, float | None]]:
    """Score models on the cells that are never known, at every level of known labels.

    Returns
    -------
    dict
        By model and by percent of the labels that are known: mAP in percent, None if undefined.
        Models that have no use for known labels are left out.

    Raises
    ------
    DataError, LabelError
        If the masks are those of other images or labels.
    """
    masks.require_images(test.ids, test.space)
    scored, found = masks.scored(test.states), {}
    for model in models:
        if not _has_use(model):
            continue
        scores: dict[str, float | None] = {}
        for level in LEVELS:
            known = masks.known(test.states, level)
            score = mean_average_precision(_predict(model, images, test, known, training), scored)
            scores[str(level)] = None if math.isnan(score) else 100 * score
        found[model.info.name] = scores
    return found


def measure_interventions(
    model: Checkpoint, images: ImageStore, test: LabelMatrix, training: TrainingOptions
) -> list[dict[str, Any]]:
    """Measure how the other probabilities change if one label is said to be present.

    Returns
    -------
    list of dict
        ``label``, and ``rises`` and ``falls``: pairs of a label and the mean change of its
        probability over some test images, in percentage points, the largest first.
    """
    if not _has_use(model):
        return []
    chosen = choose_images(test, IMAGES)
    counts = (test.states == PRESENT).sum(axis=0)
    nothing = np.full(chosen.states.shape, UNKNOWN, np.int8)
    before = _predict(model, images, chosen, nothing, training)
    rows = []
    for column in np.argsort(-counts, kind="stable")[:SAID].tolist():
        known = nothing.copy()
        known[:, column] = PRESENT
        change = 100 * (_predict(model, images, chosen, known, training) - before).mean(axis=0)
        change[column] = 0
        order = np.argsort(-change, kind="stable").tolist()
        rows.append(
            {
                "label": test.space.names[column],
                "rises": _name(test, change, order[:NAMED], 1),
                "falls": _name(test, change, order[: -NAMED - 1 : -1], -1),
            }
        )
    return rows


def _name(
    test: LabelMatrix, change: NDArray[np.floating], columns: list[int], sign: int
) -> list[list[Any]]:
    """Labels and changes, if they go in the direction that is named."""
    return [
        [test.space.names[column], float(change[column])]
        for column in columns
        if sign * change[column] > 0
    ]


def _has_use(model: Checkpoint) -> bool:
    head = find_plugin(HEADS, model.info.model.head)
    return bool(head.uses_known) or model.calibration.refiner is not None


def _predict(
    model: Checkpoint,
    images: ImageStore,
    labels: LabelMatrix,
    known: NDArray[np.int8],
    training: TrainingOptions,
) -> NDArray[np.float32]:
    """Calibrated probabilities given known states; the model runs once if it ignores them."""
    rows = images.rows(labels.ids)
    uses = find_plugin(HEADS, model.info.model.head).uses_known and (known >= 0).any()
    logits = predict_checkpoint(model, images, rows, training, known if uses else None)
    return model.calibration.probabilities(logits, known)

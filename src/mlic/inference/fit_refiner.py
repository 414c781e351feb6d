"""Fit how the known labels of an image change what a model says about the others."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlic.evaluation.refinement import SHRINKAGES, draw_subsets, fit_strengths
from mlic.images.store import ImageStore
from mlic.labels import LabelMatrix
from mlic.labels.statistics import LabelStatistics, count_labels
from mlic.models.options import HEADS
from mlic.training.calibration import Calibration
from mlic.training.checkpoint import Checkpoint
from mlic.training.options import TrainingOptions
from mlic.training.predict import predict_checkpoint
from mlic.training.refiner import Refiner
from mlic.utils.plugins import find_plugin
from mlic.utils.seeds import derive_seed

__all__ = ["add_refiner", "fit_refiner"]

log = logging.getLogger(__name__)
# A refiner needs a number for every pair of labels: for 2,000 labels 32 MB.
MOST_LABELS = 2000


def add_refiner(
    checkpoint: Checkpoint,
    calibration: Calibration,
    logits: NDArray[np.float32],
    images: ImageStore,
    labels: LabelMatrix,
    training: TrainingOptions,
) -> Calibration:
    """Add a refiner to a calibration, fitted on the validation images.

    Parameters
    ----------
    checkpoint, calibration
        The model, and its calibration.
    logits
        The model's logits of the validation images without known labels; shape (n, C).
    images, labels
        All stored images, and their labels.
    training
        Batch size, precision and threads of further predictions, which only models need whose head
        uses known labels.
    """
    labels = labels.with_labels(labels.space.indices(checkpoint.info.labels))
    train, own = labels.in_split("train"), labels.in_split("validation")
    if len(own.space) > MOST_LABELS:
        log.warning("%s: no refiner above %d labels", checkpoint.info.name, MOST_LABELS)
        return calibration
    uses_known = find_plugin(HEADS, checkpoint.info.model.head).uses_known

    def odds(known: NDArray[np.int8]) -> NDArray[np.float64]:
        found = logits
        if uses_known:
            rows = images.rows(own.ids)
            found = predict_checkpoint(checkpoint, images, rows, training, known)
        return calibration.calibrated_odds(found)

    drawn = draw_subsets(own.states, np.random.default_rng(derive_seed(0, "refiner")))
    parts = [(odds(known), known) for known in drawn]
    refiner, loss = fit_refiner(parts, own.states, count_labels(train.states, train.space))
    origin = {**calibration.made_from, "refined_log_loss": loss}
    return calibration.model_copy(update={"refiner": refiner, "made_from": origin})


def fit_refiner(
    parts: Sequence[tuple[NDArray[np.floating], NDArray[np.integer]]],
    states: NDArray[np.integer],
    statistics: LabelStatistics,
) -> tuple[Refiner, float]:
    """Fit how known labels change the other labels' log-odds.

    The influences are those of the training labels; their strength and shrinkage are the most
    probable ones for images that the model was not trained on.

    Parameters
    ----------
    parts
        Calibrated log-odds of the validation images, and the known states with which a model gave
        them; shape (n, C) each.
    states
        Label states of the validation images; shape (n, C).
    statistics
        Counts of the training labels, in the columns' order.

    Returns
    -------
    refiner : Refiner
    loss : float
        Mean log-loss of the states that were hidden while others were known.
    """
    candidates = []
    for shrinkage in SHRINKAGES:
        plain = Refiner.from_statistics(statistics, shrinkage)
        present, absent, loss = fit_strengths(parts, states, plain.influence)
        fitted = plain.model_copy(update={"present": present, "absent": absent})
        candidates.append((loss, shrinkage, fitted))
    loss, _, best = min(candidates, key=lambda one: one[:2])
    return best, loss

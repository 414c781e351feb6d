"""Calibration of logits: the link of the loss, a fit on known labels, and thresholds."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError

from mlic.errors import DataError, ParameterError
from mlic.evaluation.average_precision import check_scores
from mlic.evaluation.logistic_fit import choose_fit
from mlic.evaluation.thresholds import choose_thresholds
from mlic.images.store import ImageStore
from mlic.inference.fit_refiner import add_refiner
from mlic.inference.options import CalibrationOptions
from mlic.labels import UNKNOWN, LabelMatrix
from mlic.training.calibration import Calibration
from mlic.training.checkpoint import Checkpoint
from mlic.training.options import Choice, TrainingOptions
from mlic.training.predict import predict_checkpoint

__all__ = ["calibrate", "calibrate_checkpoint"]

log = logging.getLogger(__name__)


def calibrate(
    logits: ArrayLike,
    states: ArrayLike | None = None,
    *,
    loss: str = "asymmetric",
    loss_options: Mapping[str, Any] | None = None,
    fit: str = "auto",
    rule: str = "expected_f1",
    target: float | None = None,
) -> Calibration:
    """Calibrate the logits of any model, given the loss that it was trained with.

    Parameters
    ----------
    logits
        Of images that the model was not trained on; shape (n, C).
    states
        1 present, 0 absent, −1 unknown; shape (n, C). None: nothing is fitted. The probabilities
        are then those that the loss implies, and the thresholds follow from them.
    loss, loss_options
        Name of a module of `mlic.losses`, and its options, as in the parameters of a training.
    fit, rule, target
        See `mlic.inference.options.CalibrationOptions`.

    Returns
    -------
    Calibration
        ``probabilities(logits)`` and ``decide(probabilities)`` apply it to any logits.

    Raises
    ------
    DataError, LabelError
        If there are no images, logits are NaN, or the shapes of logits and states differ.
    ParameterError
        If loss, fit, rule or target are unknown or out of range.

    Examples
    --------
    >>> logits = np.array([[2.0, -1.0], [0.5, 0.2], [-1.0, 1.5]])
    >>> found = calibrate(logits, loss="asymmetric", loss_options={"gamma_negative": 4})
    >>> found.decide(found.probabilities(logits)).tolist()
    [[True, False], [False, False], [False, True]]
    """
    scores = np.asarray(logits)
    given = np.full(scores.shape, UNKNOWN, np.int8) if states is None else states
    scores, known = check_scores(scores, given)
    if not len(scores):
        raise DataError("there are no logits to calibrate: give those of at least one image")
    options = _options(fit=fit, rule=rule, target=target)
    choice = Choice(name=loss, options=dict(loss_options or {}))
    return _calibrate(scores, None if states is None else known, choice, options)


def _options(**values: Any) -> CalibrationOptions:
    try:
        return CalibrationOptions(**values)
    except ValidationError as error:
        mistakes = "; ".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors())
        raise ParameterError(f"calibration: {mistakes}", parameters=list(values)) from error


def _calibrate(
    logits: NDArray[np.floating],
    states: NDArray[np.integer] | None,
    loss: Choice,
    options: CalibrationOptions,
) -> Calibration:
    linked = Calibration.unfitted(loss, logits.shape[1])
    odds = linked.odds(logits)
    kind = options.fit if states is not None and (states != UNKNOWN).any() else "none"
    given = np.full(odds.shape, UNKNOWN, np.int8) if states is None else states
    chosen, losses = choose_fit(odds, given, kind)
    thresholds = choose_thresholds(chosen.probabilities(odds), states, options.rule, options.target)
    return linked.model_copy(
        update={
            "slopes": tuple(chosen.slopes.tolist()),
            "biases": tuple(chosen.biases.tolist()),
            "thresholds": tuple(thresholds.tolist()),
            "rule": options.rule,
            "target": options.target,
            "made_from": {
                "fit": chosen.kind,
                "width": chosen.width,
                "images": len(logits),
                "known_states": 0 if states is None else int((states != UNKNOWN).sum()),
                "cross_fitted_log_loss": losses,
            },
        }
    )


def calibrate_checkpoint(
    checkpoint: Checkpoint,
    images: ImageStore,
    labels: LabelMatrix,
    training: TrainingOptions,
    options: CalibrationOptions,
) -> Checkpoint:
    """Calibrate a model on the validation images, and store the calibration in its checkpoint.

    Without validation images, the link of the loss is all that is applied, and the thresholds stay
    at 0.5; a warning says so.

    Raises
    ------
    DataError
        If a validation image is not among the stored images.
    LabelError
        If the checkpoint has another label space.
    """
    own = labels.in_split("validation")
    name, unfitted = checkpoint.info.name, checkpoint.calibration
    if not len(own):
        log.warning("%s: there are no validation images to choose thresholds with", name)
        return checkpoint.with_calibration(unfitted)
    states = own.with_labels(labels.space.indices(checkpoint.info.labels)).states
    logits = predict_checkpoint(checkpoint, images, images.rows(own.ids), training)
    found = _calibrate(logits, states, unfitted.loss, options)
    origin = {**found.made_from, "labels": own.fingerprint, "data": images.fingerprint}
    found = found.model_copy(update={"made_from": origin})
    if options.refiner:
        found = add_refiner(checkpoint, found, logits, images, labels, training)
    return checkpoint.with_calibration(found)

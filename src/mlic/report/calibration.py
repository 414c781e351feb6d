"""Calibrated scores of the single models, their intervals, and what calibration changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from mlic.evaluation import bootstrap
from mlic.evaluation.calibration import calibration_metrics, reliability
from mlic.evaluation.decisions import decision_metrics
from mlic.evaluation.predictions import Predictions
from mlic.labels import PRESENT, UNKNOWN, LabelMatrix
from mlic.training.calibration import Calibration

__all__ = ["model_calibrations", "score_calibration", "tabulate_decisions"]

PERCENT = ("CP", "CR", "CF1", "macro_F1", "OP", "OR", "OF1", "exact_match")
PLAIN_THRESHOLD = 0.5


def model_calibrations(trainings: Mapping[str, Mapping[str, Any]]) -> dict[str, Calibration]:
    """Calibrations of the models that have one, from the descriptions of their trainings."""
    return {
        name: Calibration.model_validate(training["calibration"])
        for name, training in trainings.items()
        if training.get("calibration")
    }


def score_calibration(
    predictions: Predictions,
    trainings: Mapping[str, Mapping[str, Any]],
    test: LabelMatrix,
    seed: int,
) -> dict[str, Any]:
    """Score the calibrated models on the test split.

    Returns
    -------
    dict
        ``calibrated``: for each model, scores of its calibrated decisions in percent,
        ``predicted_labels`` and ``present_labels`` an image, and the figures of
        `mlic.evaluation.calibration.calibration_metrics`. ``sigmoid``: the same at 0.5 on the plain
        sigmoid. ``intervals``: 95 % bootstrap intervals of ``mAP``, ``CF1``, ``OF1``, ``macro_F1``
        and ``exact_match``, in percent; and those of ``gain_over_<model>``, the paired difference
        of the student and another model in mAP. ``reliability``: the bins of the diagrams, before
        and after. Undefined figures are left out.
    """
    calibrations = model_calibrations(trainings)
    counts = bootstrap.resamples(len(test), len(test.space), seed)
    found: dict[str, Any] = {n: {} for n in ("calibrated", "sigmoid", "intervals", "reliability")}
    precisions = {}
    for name, calibration in calibrations.items():
        logits = predictions.joined(test.space, [name])
        plain, probabilities = expit(logits), calibration.probabilities(logits)
        decided = calibration.decide(probabilities)
        found["sigmoid"][name] = _score(plain, plain >= PLAIN_THRESHOLD, test.states)
        found["calibrated"][name] = _score(probabilities, decided, test.states)
        precisions[name] = bootstrap.resample_map(logits, test.states, counts)
        resampled = bootstrap.resample_decisions(decided, test.states, counts)
        found["intervals"][name] = _intervals({"mAP": precisions[name], **resampled})
        found["reliability"][name] = {
            "sigmoid": _bins(plain, test.states),
            "calibrated": _bins(probabilities, test.states),
        }
    if "student" in precisions:
        gains = {
            f"gain_over_{name}": precisions["student"] - values
            for name, values in precisions.items()
            if name != "student"
        }
        found["intervals"] |= _intervals(gains)
    return found


def _score(
    probabilities: NDArray[np.floating], decided: NDArray[np.bool_], states: NDArray[np.int8]
) -> dict[str, float]:
    figures = decision_metrics(decided, states) | calibration_metrics(probabilities, states)
    scaled = {name: value * (100 if name in PERCENT else 1) for name, value in figures.items()}
    # JSON has no NaN: a figure that is undefined is left out.
    return {name: round(value, 5) for name, value in scaled.items() if not np.isnan(value)}


def _intervals(resampled: Mapping[str, NDArray[np.float64]]) -> dict[str, list[float]]:
    bounds = {name: bootstrap.interval(100 * values) for name, values in resampled.items()}
    return {n: [round(b, 3) for b in both] for n, both in bounds.items() if not np.isnan(both[0])}


def _bins(probabilities: NDArray[np.floating], states: NDArray[np.int8]) -> dict[str, list[float]]:
    found = reliability(probabilities, states)
    return {
        "probability": found.probability.round(5).tolist(),
        "frequency": found.frequency.round(5).tolist(),
        "cells": found.cells.tolist(),
    }


def tabulate_decisions(
    predictions: Predictions, trainings: Mapping[str, Mapping[str, Any]], test: LabelMatrix
) -> pd.DataFrame:
    """Tabulate the student's decisions label by label, on the test split.

    The columns are ``label``, ``positives`` (test images with the label), ``threshold`` (a
    probability), and in percent ``precision``, ``recall`` and ``F1`` at this threshold, and
    ``F1_sigmoid`` at 0.5 on the plain sigmoid; NaN where a label has no positive.
    """
    calibration = model_calibrations(trainings)["student"]
    logits = predictions.joined(test.space, ["student"])
    decided = calibration.decide(calibration.probabilities(logits))
    precision, recall, f1 = _label_scores(decided, test.states)
    plain = _label_scores(expit(logits) >= PLAIN_THRESHOLD, test.states)[2]
    return pd.DataFrame(
        {
            "label": test.space.names,
            "positives": (test.states == PRESENT).sum(axis=0),
            "threshold": calibration.thresholds,
            "precision": precision,
            "recall": recall,
            "F1": f1,
            "F1_sigmoid": plain,
        }
    )


def _label_scores(
    decided: NDArray[np.bool_], states: NDArray[np.int8]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Precision, recall and F1 of each label in percent, NaN without a positive."""
    present = states == PRESENT
    hits = (decided & present).sum(axis=0)
    claimed, there = (decided & (states != UNKNOWN)).sum(axis=0), present.sum(axis=0)
    empty = np.where(there > 0, 1.0, np.nan)
    precision = 100 * hits / np.maximum(claimed, 1) * empty
    recall = 100 * hits / np.maximum(there, 1) * empty
    f1 = 100 * 2 * hits / np.maximum(claimed + there, 1) * empty
    return precision, recall, f1

"""The parts of ``summary.json``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mlic.labels import SPLITS, LabelMatrix, LabelSpace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mlic.training.checkpoint import Checkpoint
    from mlic.training.predictions import Predictions

__all__ = ["committees", "describe_data", "score_models", "time_models"]

REPORTED = ("CP", "CR", "CF1", "OP", "OR", "OF1")


def describe_data(labels: LabelMatrix, num_quarantined: int) -> dict[str, Any]:
    """Pictures and labels, by split."""
    splits = {split: len(labels.rows(split)) for split in SPLITS}
    present = labels.states == 1
    return {
        "pictures": splits,
        "quarantined": num_quarantined,
        "labels": len(labels.space),
        "labels_per_picture": round(float(present.sum(axis=1).mean()), 3),
        "unknown_share": round(float((labels.states < 0).mean()), 6),
        "fingerprint": labels.fingerprint,
    }


def committees(predictions: Predictions, space: LabelSpace) -> dict[str, NDArray[np.float32]]:
    """Logits over the whole space: baseline, the teachers of each strategy together, student."""
    groups: dict[str, list[str]] = {}
    for model in predictions.logits:
        group = model.removeprefix("teachers.").rpartition("_")[0] or model
        groups.setdefault(group, []).append(model)
    return {group: predictions.joined(space, models) for group, models in groups.items()}


def score_models(
    predictions: Predictions, test: LabelMatrix, strategies: Sequence[str], threshold: float
) -> dict[str, Any]:
    """Figures of baseline, teachers and student, in percent."""
    scores = {
        name: _score(logits, test.states, threshold)
        for name, logits in committees(predictions, test.space).items()
    }
    teachers = {strategy: scores[strategy] for strategy in strategies}
    for strategy, figures in teachers.items():
        figures["parts"] = [
            _score(logits, test.with_labels(test.space.indices(labels)).states, threshold)["mAP"]
            for model, logits in predictions.logits.items()
            if model.startswith(f"teachers.{strategy}_")
            for labels in [predictions.labels[model]]
        ]
    return {"baseline": scores["baseline"], "teachers": teachers, "student": scores["student"]}


def _score(
    logits: NDArray[np.float32], states: NDArray[np.int8], threshold: float
) -> dict[str, Any]:
    from scipy.special import expit

    from mlic.metrics import mean_average_precision, threshold_metrics

    at = threshold_metrics(expit(logits), states, threshold)
    figures = {"mAP": mean_average_precision(logits, states)} | {
        name: at[name] for name in REPORTED
    }
    return {name: round(100 * float(value), 4) for name, value in figures.items()}


def time_models(checkpoints: Iterable[Checkpoint]) -> dict[str, Any]:
    """Seconds that the trainings took when they were done."""
    seconds = {checkpoint.info.name: checkpoint.info.seconds for checkpoint in checkpoints}
    teachers: dict[str, float] = {}
    for name, value in seconds.items():
        if name.startswith("teachers."):
            strategy = name.removeprefix("teachers.").rpartition("_")[0]
            teachers[strategy] = round(teachers.get(strategy, 0.0) + value, 2)
    return {
        "baseline": round(seconds["baseline"], 2),
        "teachers": teachers,
        "student": round(seconds["student"], 2),
        "total": round(sum(seconds.values()), 2),
    }

"""The parts of ``summary.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlic.config.cost import count_psd_passes
from mlic.distillation.teacher_id import strategy_of
from mlic.labels import SPLITS, LabelMatrix
from mlic.labels.options import BASELINE, FULL_LABEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlic.evaluation.predictions import Predictions
    from mlic.labels.options import PartitionOptions
    from mlic.labels.partition import Partition
    from mlic.training.options import TeacherOptions, TrainingOptions

__all__ = [
    "committees",
    "count_passes",
    "describe_data",
    "describe_origin",
    "score_models",
    "time_models",
]

RANK = {
    "baseline": 0,
    "budget_matched_baseline": 1,
    "student": 3,
}  # the strategies' teachers stand between
TOP = 3  # labels an image, of the "top-3" figures
TOP_THRESHOLD = 0.5  # which those of ML-GCN and C-Tran ask for besides


def describe_data(labels: LabelMatrix, num_quarantined: int) -> dict[str, Any]:
    """Images and labels, by split."""
    splits = {split: len(labels.rows(split)) for split in SPLITS}
    present = labels.states == 1
    return {
        "images": splits,
        "quarantined": num_quarantined,
        "labels": len(labels.space),
        "labels_per_image": round(float(present.sum(axis=1).mean()), 3),
        "unknown_share": round(float((labels.states < 0).mean()), 6),
    }


def committees(predictions: Predictions, test: LabelMatrix) -> dict[str, NDArray[np.float32]]:
    """Logits over all labels: baselines, the teachers of each strategy together, student.

    The teachers of a partition are put side by side; of plain ones, who know all labels each, the
    logits are averaged, as they are for the student.

    Raises
    ------
    DataError
        If the predictions are not of the test images.
    CheckpointError
        If the teachers of a strategy leave a label out.
    """
    predictions.require_images(test.ids)
    groups: dict[str, list[str]] = {}
    for model in predictions.logits:
        group = strategy_of(model)
        groups.setdefault(group, []).append(model)
    ordered = sorted(groups, key=lambda group: RANK.get(group, 2))
    return {group: _join(predictions, test, group, groups[group]) for group in ordered}


def _join(
    predictions: Predictions, test: LabelMatrix, group: str, models: Sequence[str]
) -> NDArray[np.float32]:
    if group != FULL_LABEL:
        return predictions.joined(test.space, models)
    full = [predictions.joined(test.space, [model]) for model in sorted(models)]
    mean: NDArray[np.float32] = np.mean(full, axis=0, dtype=np.float32)
    return mean


def score_models(predictions: Predictions, test: LabelMatrix, threshold: float) -> dict[str, Any]:
    """Figures of baselines, teachers and student, in percent; what is undefined is left out.

    Names are those of `mlic.evaluation.metrics.threshold_metrics`, with ``_top3`` where only an
    image's three highest probabilities count, if they are at least 0.5, as ML-GCN and C-Tran do.
    ``parts`` holds the mAP of each teacher on its own labels, part by part, None where none of
    them has a positive.
    """
    scores = {
        name: _score(logits, test.states, threshold)
        for name, logits in committees(predictions, test).items()
    }
    teachers = {
        strategy: {**scores[strategy], "parts": _score_parts(predictions, test, strategy)}
        for strategy in scores
        if strategy not in RANK
    }
    baselines = {name: scores[name] for name in scores if name in RANK and name != "student"}
    return {**baselines, "teachers": teachers, "student": scores["student"]}


def _score_parts(predictions: Predictions, test: LabelMatrix, strategy: str) -> list[float | None]:
    """Score each teacher by its part's number: a file may hold part 10 before part 2."""
    from mlic.evaluation.metrics import mean_average_precision

    prefix = f"teachers.{strategy}_"
    models = [model for model in predictions.logits if model.startswith(prefix)]
    precisions = []
    for model in sorted(models, key=lambda model: int(model.removeprefix(prefix))):
        own = test.with_labels(test.space.indices(predictions.labels[model]))
        value = mean_average_precision(predictions.logits[model], own.states)
        precisions.append(None if np.isnan(value) else round(100 * value, 4))
    return precisions


def _score(
    logits: NDArray[np.float32], states: NDArray[np.int8], threshold: float
) -> dict[str, Any]:
    """Figures of one model, in percent: mAP, those at the threshold, and ``…_top3``.

    The top-3 figures are those of ML-GCN and C-Tran: of an image's three highest probabilities
    (of fewer labels, all), those of at least 0.5; the evaluation's threshold does not matter.
    """
    from scipy.special import expit

    from mlic.evaluation.metrics import mean_average_precision, threshold_metrics, top_k_metrics

    probabilities = expit(logits)
    top = top_k_metrics(probabilities, states, min(TOP, states.shape[1]), TOP_THRESHOLD)
    figures = {
        "mAP": mean_average_precision(logits, states),
        **threshold_metrics(probabilities, states, threshold),
        **{f"{name}_top{TOP}": value for name, value in top.items()},
    }
    # JSON knows no NaN: a figure that no label defines is left out
    return {name: round(100 * value, 4) for name, value in figures.items() if not np.isnan(value)}


def time_models(
    trainings: Mapping[str, Mapping[str, Any]], partition: PartitionOptions
) -> dict[str, Any]:
    """Seconds that the trainings took when they were done; the control stands beside the total.

    ``psd`` is what teachers and student took, the baseline among the teachers if it is one.
    """
    seconds = {name: training["seconds"] for name, training in trainings.items()}
    teachers: dict[str, float] = {}
    for name, value in seconds.items():
        if name.startswith("teachers."):
            strategy = strategy_of(name)
            teachers[strategy] = round(teachers.get(strategy, 0.0) + value, 2)
    longer = seconds.pop("budget_matched_baseline", None)
    spared = 0.0 if BASELINE in partition.strategies else seconds["baseline"]
    return {
        "baseline": round(seconds["baseline"], 2),
        **({} if longer is None else {"budget_matched_baseline": round(longer, 2)}),
        "teachers": teachers,
        "student": round(seconds["student"], 2),
        "psd": round(sum(seconds.values()) - spared, 2),
        "total": round(sum(seconds.values()), 2),
    }


def count_passes(
    training: TrainingOptions, partition: PartitionOptions, teachers: TeacherOptions
) -> dict[str, float]:
    """Passes over the training images: ``baseline``, and ``psd``, teachers and student together.

    Unlike seconds they depend on no machine. A baseline that teaches is counted among the teachers.
    """
    return {
        "baseline": training.for_role("baseline").epochs,
        "psd": round(count_psd_passes(training, partition, teachers), 3),
    }


def describe_origin(
    labels: LabelMatrix,
    partitions: Mapping[str, Partition],
    trainings: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """What the run was made from: code, libraries, and fingerprints of its data and models."""
    from mlic import __version__
    from mlic.utils.git import git_commit

    student = trainings["student"]
    return {
        "git": git_commit(),
        "version": __version__,
        "versions": student["versions"],
        "fingerprints": {
            "images": student["components"].get("data"),
            "labels": labels.fingerprint,
            **{f"partition_{name}": part.fingerprint for name, part in partitions.items()},
            **{name: training["fingerprint"] for name, training in trainings.items()},
        },
    }

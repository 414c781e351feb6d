"""The parts of ``summary.json``: data, scores, costs and provenance of a run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from mlic import __version__
from mlic.config.cost import count_psd_passes
from mlic.distillation.teacher_id import NAMESPACE, TeacherId, strategy_of
from mlic.evaluation import metrics
from mlic.evaluation.predictions import Predictions
from mlic.labels import PRESENT, SPLITS, UNKNOWN, LabelMatrix
from mlic.labels.options import BASELINE, FULL_LABEL, PartitionOptions
from mlic.labels.partition import Partition
from mlic.training.distillation_options import TeacherOptions
from mlic.training.options import TrainingOptions
from mlic.utils.git import git_commit

__all__ = [
    "count_passes",
    "describe_data",
    "describe_origin",
    "ensemble_logits",
    "score_models",
    "tabulate_average_precision",
    "time_models",
]

# Position of the single models; the ensembles of teachers stand between them.
RANK = {"baseline": 0, "budget_matched_baseline": 1, "student": 3}
ENSEMBLE_RANK = 2
TOP = 3  # labels per image of the "top-3" scores
TOP_THRESHOLD = 0.5  # smallest probability that counts in them, as in ML-GCN and C-Tran


def describe_data(labels: LabelMatrix, num_quarantined: int) -> dict[str, Any]:
    """Count the images by split, the labels, and the unknown states."""
    return {
        "images": {split: len(labels.rows(split)) for split in SPLITS},
        "quarantined": num_quarantined,
        "labels": len(labels.space),
        "labels_per_image": round(float((labels.states == PRESENT).sum(axis=1).mean()), 3),
        "unknown_share": round(float((labels.states == UNKNOWN).mean()), 6),
    }


def ensemble_logits(predictions: Predictions, test: LabelMatrix) -> dict[str, NDArray[np.float32]]:
    """Compute logits over all labels of each single model and each ensemble of teachers.

    The teachers of a partition share the labels out among them: their columns are put side by
    side. The logits of full-label teachers are averaged, as they are for the student. The result
    has logits of shape (number of test images, C), float32, by model or strategy; baselines come
    first and the student last.

    Raises
    ------
    DataError
        If the predictions are not of the test images.
    CheckpointError
        If the teachers of a strategy do not cover a label.
    """
    predictions.require_images(test.ids)
    members: dict[str, list[str]] = {}
    for model in predictions.logits:
        members.setdefault(strategy_of(model), []).append(model)
    ordered = sorted(members, key=lambda name: RANK.get(name, ENSEMBLE_RANK))
    return {name: _join(predictions, test, name, members[name]) for name in ordered}


def _join(
    predictions: Predictions, test: LabelMatrix, name: str, models: Sequence[str]
) -> NDArray[np.float32]:
    if name != FULL_LABEL:
        return predictions.joined(test.space, models)
    # Sorted, so that the floating-point sum does not depend on the order of the checkpoints.
    full = [predictions.joined(test.space, [model]) for model in sorted(models)]
    mean: NDArray[np.float32] = np.mean(full, axis=0, dtype=np.float32)
    return mean


def score_models(predictions: Predictions, test: LabelMatrix, threshold: float) -> dict[str, Any]:
    """Score baselines, ensembles of teachers and the student on the test split, in percent.

    The scores of the teachers are under ``teachers``. The names are ``mAP`` and those of
    `mlic.evaluation.metrics.threshold_metrics`, with the suffix ``_top3`` for the scores that count
    an image's three highest probabilities only. Undefined scores are left out. ``parts`` contains
    the mAP of each teacher on its own labels, None if none of them has a positive.
    """
    scores = {
        name: _score(logits, test.states, threshold)
        for name, logits in ensemble_logits(predictions, test).items()
    }
    teachers = {
        strategy: {**scores[strategy], "parts": _score_parts(predictions, test, strategy)}
        for strategy in scores
        if strategy not in RANK
    }
    # Baselines first and the student last, as in all tables.
    baselines = {name: scores[name] for name in scores if name in RANK and name != "student"}
    return {**baselines, "teachers": teachers, "student": scores["student"]}


def _score_parts(predictions: Predictions, test: LabelMatrix, strategy: str) -> list[float | None]:
    """Compute the mAP of each teacher of a strategy, ordered by the number of its part."""
    names = [name for name in predictions.logits if name.startswith(f"{NAMESPACE}.")]
    teachers = [TeacherId.parse(name) for name in names]
    precisions = []
    # Sorted by number, not by name: a file has part 10 before part 2.
    for teacher in sorted(teacher for teacher in teachers if teacher.strategy == strategy):
        own = test.with_labels(test.space.indices(predictions.labels[teacher.name]))
        value = metrics.mean_average_precision(predictions.logits[teacher.name], own.states)
        precisions.append(None if np.isnan(value) else round(100 * value, 4))
    return precisions


def _score(
    logits: NDArray[np.float32], states: NDArray[np.int8], threshold: float
) -> dict[str, Any]:
    """Score one model in percent."""
    probabilities = expit(logits)
    # The top-3 scores are those of ML-GCN and C-Tran: the three highest probabilities of an image
    # count if they are at least 0.5, whatever the threshold of the evaluation.
    top = metrics.top_k_metrics(probabilities, states, min(TOP, states.shape[1]), TOP_THRESHOLD)
    scores = {
        "mAP": metrics.mean_average_precision(logits, states),
        **metrics.threshold_metrics(probabilities, states, threshold),
        **{f"{name}_top{TOP}": value for name, value in top.items()},
    }
    # JSON has no NaN: a score that no label defines is left out.
    return {name: round(100 * value, 4) for name, value in scores.items() if not np.isnan(value)}


def tabulate_average_precision(predictions: Predictions, test: LabelMatrix) -> pd.DataFrame:
    """Tabulate the average precision of every label in percent, NaN if it has no positive.

    The columns are ``label``, ``positives`` (test images with the label), and one for each single
    model and each ensemble of teachers.
    """
    columns = {
        name: 100 * metrics.average_precision(logits, test.states)
        for name, logits in ensemble_logits(predictions, test).items()
    }
    positives = (test.states == PRESENT).sum(axis=0)
    return pd.DataFrame({"label": test.space.names, "positives": positives, **columns})


def time_models(
    trainings: Mapping[str, Mapping[str, Any]], partition: PartitionOptions
) -> dict[str, Any]:
    """Sum up the measured training seconds.

    ``psd`` is the sum of all teachers and the student, ``total`` that of all trainings but the
    budget-matched baseline. A baseline that teaches counts as a teacher.
    """
    seconds = {name: training["seconds"] for name, training in trainings.items()}
    teachers: dict[str, float] = {}
    for name, value in seconds.items():
        if name.startswith(f"{NAMESPACE}."):
            strategy = strategy_of(name)
            # Rounded after every addition: the published sums were made like this.
            teachers[strategy] = round(teachers.get(strategy, 0.0) + value, 2)
    # The control is no part of the method: it must not count in the sums below.
    control = seconds.pop("budget_matched_baseline", None)
    not_psd = 0.0 if BASELINE in partition.strategies else seconds["baseline"]
    return {
        "baseline": round(seconds["baseline"], 2),
        **({} if control is None else {"budget_matched_baseline": round(control, 2)}),
        "teachers": teachers,
        "student": round(seconds["student"], 2),
        "psd": round(sum(seconds.values()) - not_psd, 2),
        "total": round(sum(seconds.values()), 2),
    }


def count_passes(
    training: TrainingOptions,
    partition: PartitionOptions,
    teachers: TeacherOptions,
    image_size: int,
) -> dict[str, float]:
    """Count passes over the training images: ``baseline``, and ``psd`` (teachers and student).

    Unlike seconds, they do not depend on the machine. A baseline that teaches counts as a teacher.
    """
    return {
        "baseline": training.for_role("baseline").epochs,
        "psd": round(count_psd_passes(training, partition, teachers, image_size), 3),
    }


def describe_origin(
    labels: LabelMatrix,
    partitions: Iterable[Partition],
    trainings: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Record what the run was made from: code, libraries, and fingerprints of data and models."""
    # The versions of the student's training, which every run has and which is the last one.
    student = trainings["student"]
    return {
        "git": git_commit(),
        "version": __version__,
        "versions": student["versions"],
        "fingerprints": {
            "images": student["components"].get("data"),
            "labels": labels.fingerprint,
            **{f"partition_{one.strategy}": one.fingerprint for one in partitions},
            **{name: training["fingerprint"] for name, training in trainings.items()},
        },
    }

"""Nodes of the report: predict the test split, score the models, and write the page.

The functions import what they need when they run: Kedro imports this module for every command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlic.config.parameters import EvaluationOptions
from mlic.explain.options import ExplainOptions
from mlic.images.options import DataOptions
from mlic.labels.options import PartitionOptions
from mlic.training.distillation_options import TeacherOptions
from mlic.training.options import TrainingOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pandas import DataFrame
    from plotly.graph_objects import Figure

    from mlic.distillation.targets import SoftTargets
    from mlic.evaluation.predictions import Predictions
    from mlic.explain.class_maps import ClassMaps
    from mlic.images.records import ImageRecords
    from mlic.images.store import ImageStore
    from mlic.labels import LabelMatrix
    from mlic.labels.partition import Partition
    from mlic.labels.statistics import LabelStatistics
    from mlic.training.checkpoint import Checkpoint

__all__ = [
    "describe_trainings",
    "draw_average_precision",
    "draw_class_maps",
    "draw_decisions",
    "draw_label_counts",
    "draw_networks",
    "draw_pair_errors",
    "draw_reliability",
    "draw_training_curves",
    "find_label_issues",
    "make_image_cards",
    "map_classes",
    "play_pointing_game",
    "predict_learning_splits",
    "predict_test_split",
    "score_calibration",
    "summarise_run",
    "tabulate_average_precision",
    "tabulate_decisions",
    "tabulate_pair_errors",
    "write_report",
]


# --- predictions and class maps -----------------------------------------------------------------


def predict_test_split(
    images: ImageStore,
    labels: LabelMatrix,
    training: TrainingOptions,
    *models: Checkpoint | Predictions,
) -> Predictions:
    """Predict the test images with every checkpoint; predictions of other models are joined."""
    from mlic.report.collect import collect_predictions

    return collect_predictions(models, images, labels.in_split("test"), training)


def predict_learning_splits(
    images: ImageStore, labels: LabelMatrix, training: TrainingOptions, student: Checkpoint
) -> Predictions:
    """Predict the training and validation images with the student, to find label errors."""
    import numpy as np

    from mlic.report.collect import collect_predictions

    # Label errors are looked for in all splits; the test split has been predicted already.
    rows = np.flatnonzero(np.isin(labels.split, ("train", "validation")))
    return collect_predictions([student], images, labels.take(rows), training)


def describe_trainings(*models: Checkpoint | dict[str, Any]) -> dict[str, Any]:
    """Describe how each model was made; descriptions of other models are joined."""
    from mlic.report import collect

    return collect.describe_trainings(models)


def map_classes(
    images: ImageStore,
    labels: LabelMatrix,
    training: TrainingOptions,
    explain: ExplainOptions,
    *models: Checkpoint | ClassMaps,
) -> ClassMaps:
    """Compute class maps of some test images; class maps of other models are joined."""
    from mlic.explain.class_maps import choose_images
    from mlic.report.collect import collect_class_maps

    # The same images for every model, because the choice depends on their ids only.
    chosen = choose_images(labels.in_split("test"), explain.images)
    return collect_class_maps(models, images, chosen, training, explain.min_cells)


def play_pointing_game(
    class_maps: ClassMaps,
    synthetic_images: ImageRecords,
    synthetic_masks: dict[str, NDArray[np.uint8]],
    explain: ExplainOptions,
) -> dict[str, Any]:
    """Compute how often the class maps of each model point at the object, in percent."""
    from mlic.explain.pointing import pointing_game, select_masks

    # The masks cover all synthetic images, the class maps only some of the test images.
    masks = synthetic_masks["masks"]
    selected = select_masks(class_maps, synthetic_images.labels, masks)
    return pointing_game(class_maps, selected, explain.tolerance_pixels(masks.shape[-1]))


def draw_label_masks(labels: LabelMatrix, seed: int) -> DataFrame:
    """Draw which labels of each test image are known at 25, 50 and 75 percent, and which never."""
    import pandas as pd

    from mlic.evaluation.known_labels import LabelMasks

    test = labels.in_split("test")
    return pd.DataFrame(LabelMasks.draw(test.ids, test.space, seed).to_columns())


def score_known_labels(
    images: ImageStore,
    labels: LabelMatrix,
    training: TrainingOptions,
    label_masks: DataFrame,
    student: Checkpoint,
    *others: Checkpoint,
) -> dict[str, Any]:
    """Measure what known labels are worth to the models, and what one changes in the others."""
    from mlic.evaluation.known_labels import LabelMasks
    from mlic.report import known_labels

    test = labels.in_split("test")
    masks = LabelMasks.from_table(label_masks, test.space)
    models = [*others, student]
    return {
        "scores": known_labels.score_known_labels(models, images, test, masks, training),
        "interventions": known_labels.measure_interventions(student, images, test, training),
    }


# --- scores and errors --------------------------------------------------------------------------


def summarise_run(
    predictions: Predictions,
    labels: LabelMatrix,
    quarantine: DataFrame,
    trainings: dict[str, Any],
    evaluation: EvaluationOptions,
    training: TrainingOptions,
    partition: PartitionOptions,
    teachers: TeacherOptions,
    data: DataOptions,
    seed: int,
    calibrated_scores: dict[str, Any],
    pointing_game: dict[str, Any] | None = None,
    **partitions: Partition,
) -> dict[str, Any]:
    """Summarise the run in one document; scores are in percent on the test split."""
    from mlic.report import summary

    return {
        "data": summary.describe_data(labels, len(quarantine)),
        "partitions": {one.strategy: one.to_dict() for one in partitions.values()},
        **summary.score_models(predictions, labels.in_split("test"), evaluation.threshold),
        **{name: calibrated_scores[name] for name in ("calibrated", "sigmoid", "intervals")},
        **({} if pointing_game is None else {"pointing_game": pointing_game}),
        "passes": summary.count_passes(training, partition, teachers, data.image_size),
        "seconds": summary.time_models(trainings, partition),
        "seed": seed,
        **summary.describe_origin(labels, partitions.values(), trainings),
    }


def score_calibration(
    predictions: Predictions, trainings: dict[str, Any], labels: LabelMatrix, seed: int
) -> dict[str, Any]:
    """Score the calibrated models on the test split, with bootstrap intervals."""
    from mlic.report import calibration

    return calibration.score_calibration(predictions, trainings, labels.in_split("test"), seed)


def tabulate_decisions(
    predictions: Predictions, trainings: dict[str, Any], labels: LabelMatrix
) -> DataFrame:
    """Tabulate threshold, precision, recall and F1 of every label for the student."""
    from mlic.report import calibration

    return calibration.tabulate_decisions(predictions, trainings, labels.in_split("test"))


def tabulate_average_precision(predictions: Predictions, labels: LabelMatrix) -> DataFrame:
    """Tabulate the average precision of every label on the test split."""
    from mlic.report.summary import tabulate_average_precision as tabulate

    return tabulate(predictions, labels.in_split("test"))


def tabulate_pair_errors(predictions: Predictions, labels: LabelMatrix) -> DataFrame:
    """Tabulate the pairs of labels that baseline or student confuse or predict together."""
    from mlic.report import error_analysis

    return error_analysis.tabulate_pair_errors(predictions, labels.in_split("test"))


def find_label_issues(
    predictions: Predictions,
    learning_predictions: Predictions,
    soft_targets: SoftTargets,
    trainings: dict[str, Any],
    labels: LabelMatrix,
) -> DataFrame:
    """Find annotated label states that the models of the run contradict."""
    from mlic.report import error_analysis
    from mlic.report.calibration import model_calibrations

    calibration = model_calibrations(trainings)["student"]
    return error_analysis.find_label_issues(
        predictions, learning_predictions, soft_targets, calibration, labels
    )


# --- images, figures and the page ---------------------------------------------------------------


def make_image_cards(
    predictions: Predictions,
    trainings: dict[str, Any],
    labels: LabelMatrix,
    label_issues: DataFrame,
    images: ImageStore,
) -> dict[str, Any]:
    """Make the cards of some test images, and of images whose labels should be checked."""
    from mlic.report.calibration import model_calibrations
    from mlic.report.image_cards import example_cards, issue_cards

    calibrations = model_calibrations(trainings)
    examples = example_cards(predictions, labels.in_split("test"), images, calibrations)
    return {"examples": examples, "issues": issue_cards(label_issues, images)}


def draw_class_maps(
    class_maps: ClassMaps, images: ImageStore, explain: ExplainOptions
) -> list[dict[str, Any]]:
    """Render the class maps of a few images, one column per model."""
    from mlic.report.class_map_images import render_maps

    pairs = class_maps.examples(explain.examples)
    return render_maps(class_maps, pairs, images.read(images.rows(class_maps.ids[pairs])))


def draw_label_counts(label_counts: DataFrame, labels: LabelMatrix) -> Figure:
    """Draw the number of images of every label, and the number of labels per image."""
    from mlic.labels import PRESENT, SPLITS
    from mlic.report import figures

    counts = {split: label_counts[split].to_numpy() for split in SPLITS}
    per_image = (labels.states == PRESENT).sum(axis=1)
    return figures.draw_label_counts(label_counts["label"].tolist(), counts, per_image)


def draw_networks(statistics: LabelStatistics, **partitions: Partition) -> Figure:
    """Draw the strongest co-occurrences within and between the groups of each partition."""
    from mlic.report import figures

    return figures.draw_networks(statistics, {one.strategy: one for one in partitions.values()})


def draw_training_curves(trainings: dict[str, Any]) -> Figure:
    """Draw the validation mAP and the loss of all trainings."""
    from mlic.report import figures

    return figures.draw_training_curves({name: t["history"] for name, t in trainings.items()})


def draw_average_precision(average_precision: DataFrame) -> Figure:
    """Draw the average precision of every label, baseline against student."""
    from mlic.report import figures

    columns = (average_precision[name].to_numpy() for name in ("positives", "baseline", "student"))
    return figures.draw_average_precision(average_precision["label"].tolist(), *columns)


def draw_reliability(calibrated_scores: dict[str, Any]) -> Figure:
    """Draw the student's reliability before and after calibration."""
    from mlic.report import figures

    return figures.draw_reliability(calibrated_scores["reliability"]["student"])


def draw_decisions(label_decisions: DataFrame) -> Figure:
    """Draw precision and recall of every label at its threshold."""
    from mlic.report import figures

    columns = (label_decisions[name].to_numpy() for name in ("positives", "precision", "recall"))
    return figures.draw_decisions(label_decisions["label"].tolist(), *columns)


def draw_pair_errors(pair_errors: DataFrame) -> Figure:
    """Draw the pairs of labels with the largest errors."""
    from mlic.report import figures

    names = {column: pair_errors[column].tolist() for column in ("first", "second")}
    rest = {str(c): pair_errors[c].to_numpy() for c in pair_errors.columns if c not in names}
    return figures.draw_pair_errors(names["first"], names["second"], rest)


def write_report(parameters: dict[str, Any], **found: Any) -> str:
    """Write the run as one self-contained page of HTML.

    ``**found`` has the other fields of `mlic.report.page.Findings`, and the figures and surveys one
    by one, as ``<name>_figure`` and ``survey_<strategy>``.
    """
    from pydantic_core import to_jsonable_python

    from mlic.report.page import Findings, render_report

    # Figures first: the figure of a survey has the names of both kinds.
    figures = {k.removesuffix("_figure"): found.pop(k) for k in [*found] if k.endswith("_figure")}
    surveys = {k.removeprefix("survey_"): found.pop(k) for k in [*found] if k.startswith("survey_")}
    # Kedro may have replaced the sections of the parameters by typed models.
    plain = to_jsonable_python(parameters)
    return render_report(Findings(parameters=plain, figures=figures, surveys=surveys, **found))

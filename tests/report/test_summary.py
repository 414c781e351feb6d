import json

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from mlic.config.cost import count_psd_passes
from mlic.errors import DataError
from mlic.evaluation.predictions import Predictions
from mlic.labels import LabelMatrix, LabelSpace
from mlic.labels.options import PartitionOptions
from mlic.report.summary import (
    count_passes,
    describe_data,
    ensemble_logits,
    score_models,
    tabulate_average_precision,
    time_models,
)
from mlic.training.distillation_options import TeacherOptions
from tests.report.example_models import GROUPS, NAMES, SPACE, TRAINING, matrix_of, predictions_of

OPTIONS = PartitionOptions(strategies="user", num_parts=2)


def test_ensembles_stand_between_baseline_and_student():
    labels = matrix_of()
    joined = ensemble_logits(predictions_of(labels), labels.in_split("test"))
    assert list(joined) in (
        ["baseline", "cgp", "dgp", "student"],
        ["baseline", "dgp", "cgp", "student"],
    )
    assert {logits.shape for logits in joined.values()} == {(40, 4)}


def test_predictions_of_other_images_are_refused():
    labels = matrix_of()
    with pytest.raises(DataError):
        ensemble_logits(predictions_of(labels), labels.in_split("train"))


def test_scores_agree_with_scikit_learn():
    labels = matrix_of()
    predictions, test = predictions_of(labels), labels.in_split("test")
    scores = score_models(predictions, test, threshold=0.3)
    logits = predictions.logits["student"]
    truth = test.states == 1
    assert scores["student"]["mAP"] == pytest.approx(
        100 * average_precision_score(truth, logits, average="macro"), abs=1e-3
    )
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, expit(logits) >= 0.3, average="micro"
    )
    for name, value in {"OP": precision, "OR": recall, "OF1": f1}.items():
        assert scores["student"][name] == pytest.approx(100 * value, abs=1e-3)


def test_parts_are_scored_in_numerical_order():
    space = LabelSpace(tuple(f"l{i}" for i in range(12)))
    labels = matrix_of(space=space)
    groups = {"cgp": [(name,) for name in space.names]}
    predictions, test = predictions_of(labels, groups), labels.in_split("test")
    parts = score_models(predictions, test, 0.5)["teachers"]["cgp"]["parts"]
    expected = [
        100 * average_precision_score(test.states[:, i], predictions.logits[f"teachers.cgp_{i}"])
        for i in range(12)
    ]
    np.testing.assert_allclose(parts, expected, atol=1e-3)


def test_top_three_scores_count_the_highest_probabilities_above_a_half():
    """The oracle ranks the labels of each image; the threshold of the evaluation has no effect."""
    labels = matrix_of()
    predictions, test = predictions_of(labels), labels.in_split("test")
    figures = score_models(predictions, test, threshold=0.9)["student"]
    logits, truth = predictions.logits["student"], test.states == 1
    claimed = np.zeros_like(truth)
    for row, scores in enumerate(logits):
        for column in sorted(range(4), key=lambda c: -scores[c])[:3]:
            claimed[row, column] = expit(scores[column]) >= 0.5
    assert (claimed.sum(axis=1) < (logits > 0).sum(axis=1)).any(), "a fourth one is cut off"
    _, _, f1, _ = precision_recall_fscore_support(truth, claimed, average="micro")
    precision, recall, macro, _ = precision_recall_fscore_support(
        truth, claimed, average="macro", zero_division=0
    )
    expected = {
        "OF1_top3": f1,
        "CF1_top3": 2 * precision * recall / (precision + recall),
        "macro_F1_top3": macro,
    }
    assert {name: figures[name] for name in expected} == pytest.approx(
        {name: 100 * value for name, value in expected.items()}, abs=1e-3
    )


def test_macro_f1_is_the_mean_over_labels():
    space = LabelSpace(("a", "b"))
    labels = matrix_of(space=space)
    predictions = predictions_of(labels, {"cgp": [("a",), ("b",)]})
    test = labels.in_split("test")
    figures = score_models(predictions, test, threshold=0.5)["student"]
    claimed = predictions.logits["student"] >= 0
    macro = precision_recall_fscore_support(test.states == 1, claimed, average="macro")[2]
    assert figures["macro_F1"] == pytest.approx(100 * macro, abs=1e-3)
    assert figures["OF1_top3"] == figures["OF1"] and figures["CF1_top3"] == figures["CF1"]


def test_undefined_scores_are_left_out_of_the_json():
    labels = matrix_of()
    states = labels.states.copy()
    states[8:, SPACE.indices(GROUPS["cgp"][1])] = 0
    labels = LabelMatrix(SPACE, labels.ids, states, labels.split)
    predictions = predictions_of(labels)
    scores = score_models(predictions, labels.in_split("test"), 0.5)
    assert scores["teachers"]["cgp"]["parts"][1] is None
    assert scores["teachers"]["cgp"]["parts"][0] > 0
    nothing = LabelMatrix(SPACE, labels.ids, 0 * states, labels.split).in_split("test")
    empty = score_models(predictions, nothing, 0.5)
    assert empty["student"] == empty["baseline"] == {}
    json.dumps([scores, empty], allow_nan=False)


def test_full_label_teachers_are_averaged_and_controls_are_scored():
    labels = matrix_of()
    groups = {"full_label": [NAMES, NAMES[::-1]], "cgp": GROUPS["cgp"]}
    predictions, test = predictions_of(labels, groups), labels.in_split("test")
    own = {"budget_matched_baseline": NAMES, **predictions.labels}
    control = np.random.default_rng(5).normal(size=(40, 4)).astype(np.float32)
    predictions = Predictions(
        predictions.ids, {"budget_matched_baseline": control, **predictions.logits}, own
    )
    joined = ensemble_logits(predictions, test)
    assert (
        list(joined)[:2] == ["baseline", "budget_matched_baseline"]
        and list(joined)[-1] == "student"
    )
    one, two = (predictions.logits[f"teachers.full_label_{i}"] for i in (0, 1))
    np.testing.assert_allclose(joined["full_label"], (one + two[:, ::-1]) / 2, atol=1e-6)
    scores = score_models(predictions, test, 0.5)
    assert list(scores) == ["baseline", "budget_matched_baseline", "teachers", "student"]
    truth = test.states == 1
    for figure, logits in (
        (scores["budget_matched_baseline"]["mAP"], control),
        (scores["teachers"]["full_label"]["parts"][1], two[:, ::-1]),
        (scores["teachers"]["full_label"]["mAP"], one + two[:, ::-1]),
    ):
        assert figure == pytest.approx(100 * average_precision_score(truth, logits), abs=1e-3)
    assert "budget_matched_baseline" in tabulate_average_precision(
        predictions, labels.in_split("test")
    )


def test_images_are_counted_by_split():
    labels = LabelMatrix(
        LabelSpace(("a", "b")),
        list("wxyz"),
        [[1, 1], [1, 0], [-1, 0], [0, 0]],
        ["train"] * 3 + [""],
    )
    data = describe_data(labels, 2)
    assert data["images"] == {"train": 3, "validation": 0, "test": 0}
    assert (data["quarantined"], data["labels"]) == (2, 2)
    assert (data["labels_per_image"], data["unknown_share"]) == (0.75, 0.125)


def test_seconds_are_summed_by_strategy_and_in_all():
    names = ["baseline", "teachers.cgp_0", "teachers.cgp_10", "teachers.dgp_0", "student"]
    trainings = {name: {"seconds": 2.0**i} for i, name in enumerate(names)}
    seconds = time_models(trainings, PartitionOptions(num_parts=2, strategies="cgp+dgp"))
    assert seconds == {
        "baseline": 1,
        "teachers": {"cgp": 6, "dgp": 8},
        "student": 16,
        "psd": 30,
        "total": 31,
    }
    with_baseline = time_models(trainings, PartitionOptions(num_parts=2))
    assert with_baseline == {**seconds, "psd": 31}  # here it is a teacher
    times = {"baseline": 1.0, "student": 1.0, "budget_matched_baseline": 64.0}
    beside = time_models({name: {"seconds": value} for name, value in times.items()}, OPTIONS)
    assert (beside["budget_matched_baseline"], beside["total"]) == (64, 2)


def test_average_precision_has_a_column_per_model_and_a_row_per_label():
    labels = matrix_of()
    predictions = predictions_of(labels)
    table = tabulate_average_precision(predictions, labels.in_split("test"))
    assert set(table) == {"label", "positives", "baseline", "cgp", "dgp", "student"}
    assert tuple(table["label"]) == NAMES
    states = labels.in_split("test").states
    assert table["positives"].tolist() == states.sum(axis=0).tolist()
    teacher = predictions.logits["teachers.dgp_1"]
    assert table["dgp"][3] == pytest.approx(
        100 * average_precision_score(states[:, 3], teacher[:, 1])
    )


def test_passes_equal_the_budget_of_the_matched_baseline():
    partition, teachers = PartitionOptions(num_parts=2), TeacherOptions()
    training = TRAINING.model_copy(update={"epochs": 12})
    passes = count_passes(training, partition, teachers, 48)
    assert passes["baseline"] == 12
    psd = count_psd_passes(training, partition, teachers, 48)
    assert passes["psd"] == pytest.approx(psd, abs=1e-3)

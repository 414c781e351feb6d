import json
import re

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from scipy.special import expit
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

import mlic
from mlic.config.cost import count_psd_passes
from mlic.config.parameters import EvaluationOptions
from mlic.errors import CheckpointError, DataError, LabelError
from mlic.evaluation.predictions import Predictions
from mlic.explain.options import ExplainOptions
from mlic.images.store import ImageStore
from mlic.labels import LabelMatrix, LabelSpace
from mlic.labels.options import PartitionOptions
from mlic.labels.partition import user_partition
from mlic.labels.statistics import count_labels
from mlic.models.options import ModelOptions
from mlic.pipelines.graph_partition.figures import draw_partitions
from mlic.pipelines.label_statistics.nodes import tabulate_labels
from mlic.pipelines.reporting import create_pipeline
from mlic.pipelines.reporting.nodes import (
    describe_trainings,
    predict_learning_splits,
    predict_test_split,
    summarise_run,
    tabulate_average_precision,
    write_report,
)
from mlic.report.explain import map_classes
from mlic.report.summary import (
    committees,
    count_passes,
    describe_data,
    score_models,
    time_models,
)
from mlic.training.checkpoint import Checkpoint, CheckpointInfo
from mlic.training.options import TeacherOptions, TrainingOptions

NAMES = ("sea", "<b>R&D</b>", "cow", "field")
SPACE = LabelSpace(NAMES)
GROUPS = {"cgp": [("sea", NAMES[1]), ("cow", "field")], "dgp": [("sea", "cow"), NAMES[1::2]]}
OPTIONS = PartitionOptions(strategies="user", num_parts=2)
TRAINING = TrainingOptions(epochs=1, batch_size=4, learning_rate=0.1, threads=1, precision="32")


# --- figures ------------------------------------------------------------------------------------


def matrix_of(num_test=40, space=SPACE, seed=0):
    rng = np.random.default_rng(seed)
    states = (rng.random((num_test + 8, len(space))) < 0.4).astype(np.int8)
    states[8:10] = [[1] * len(space), [0] * len(space)]
    split = ["train"] * 5 + ["validation"] * 3 + ["test"] * num_test
    return LabelMatrix(space, [f"p{i}" for i in range(len(states))], states, split)


def predictions_of(labels, groups=GROUPS, seed=1):
    """Random logits; the teachers come in a file's order, which is not that of the parts."""
    rng = np.random.default_rng(seed)
    own = {"student": labels.space.names, "baseline": labels.space.names}
    for strategy, parts in groups.items():
        own |= {f"teachers.{strategy}_{part}": tuple(names) for part, names in enumerate(parts)}
    own = dict(sorted(own.items(), reverse=True))
    ids = labels.in_split("test").ids
    logits = {
        model: rng.normal(size=(len(ids), len(names))).astype(np.float32)
        for model, names in own.items()
    }
    return Predictions(ids, logits, own)


def checkpoint_of(name, names=NAMES, seconds=1.0, weights=None):
    info = CheckpointInfo(
        name=name,
        role=name.partition(".")[0],
        labels=names,
        label_fingerprint=LabelSpace(tuple(names)).fingerprint,
        model=ModelOptions(backbone="test_resnet"),
        image_size=32,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        components={"data": "0123"},
        versions={"torch": "2"},
        epoch=1,
        averaged=True,
        validation_map=0.5,
        seconds=seconds,
        history=[{"loss": 0.5, "validation_mAP_raw": 0.4, "validation_mAP_ema": 0.5}],
    )
    return Checkpoint(weights or {}, info)


def test_committees_stand_in_the_order_of_the_walk():
    labels = matrix_of()
    joined = committees(predictions_of(labels), labels.in_split("test"))
    assert list(joined) in (
        ["baseline", "cgp", "dgp", "student"],
        ["baseline", "dgp", "cgp", "student"],
    )
    assert {logits.shape for logits in joined.values()} == {(40, 4)}


def test_predictions_of_other_images_are_refused():
    labels = matrix_of()
    with pytest.raises(DataError, match="run the reporting pipeline again"):
        committees(predictions_of(labels), labels.in_split("train"))


def test_scores_are_those_of_scikit_learn():
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


def test_parts_are_scored_in_the_order_of_the_partition():
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


def test_top_three_are_the_three_highest_of_a_half_and_more():
    """The oracle ranks each image by hand; the evaluation's threshold is another."""
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


def test_macro_f1_is_the_mean_over_labels_and_two_labels_have_a_top_three():
    space = LabelSpace(("a", "b"))
    labels = matrix_of(space=space)
    predictions = predictions_of(labels, {"cgp": [("a",), ("b",)]})
    test = labels.in_split("test")
    figures = score_models(predictions, test, threshold=0.5)["student"]
    claimed = predictions.logits["student"] >= 0
    macro = precision_recall_fscore_support(test.states == 1, claimed, average="macro")[2]
    assert figures["macro_F1"] == pytest.approx(100 * macro, abs=1e-3)
    assert figures["OF1_top3"] == figures["OF1"] and figures["CF1_top3"] == figures["CF1"]


def test_what_no_positive_defines_is_left_out_and_the_rest_is_json():
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


def test_plain_teachers_and_a_longer_baseline_stand_beside_the_rest():
    labels = matrix_of()
    groups = {"full_label": [NAMES, NAMES[::-1]], "cgp": GROUPS["cgp"]}
    predictions, test = predictions_of(labels, groups), labels.in_split("test")
    own = {"budget_matched_baseline": NAMES, **predictions.labels}
    longer = np.random.default_rng(5).normal(size=(40, 4)).astype(np.float32)
    predictions = Predictions(
        predictions.ids, {"budget_matched_baseline": longer, **predictions.logits}, own
    )
    joined = committees(predictions, test)
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
        (scores["budget_matched_baseline"]["mAP"], longer),
        (scores["teachers"]["full_label"]["parts"][1], two[:, ::-1]),
        (scores["teachers"]["full_label"]["mAP"], one + two[:, ::-1]),
    ):
        assert figure == pytest.approx(100 * average_precision_score(truth, logits), abs=1e-3)
    assert "budget_matched_baseline" in tabulate_average_precision(predictions, labels)


def test_data_are_counted_by_split():
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


def test_seconds_add_up():
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
    assert with_baseline == {**seconds, "psd": 31}  # it is a teacher, so its training counts
    times = {"baseline": 1.0, "student": 1.0, "budget_matched_baseline": 64.0}
    beside = time_models({name: {"seconds": value} for name, value in times.items()}, OPTIONS)
    assert (beside["budget_matched_baseline"], beside["total"]) == (64, 2)


# --- nodes --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights():
    """Weights of one tiny model for each number of labels."""
    from mlic.models.classifier import build_classifier

    options = ModelOptions(backbone="test_resnet")
    models = {size: build_classifier(options, size) for size in (2, 4)}
    return {
        size: {name: value.numpy() for name, value in model.state_dict().items()}
        for size, model in models.items()
    }


@pytest.fixture(scope="module")
def images():
    ids = matrix_of().ids[::-1]  # in another order than the labels
    pixels = np.random.default_rng(2).integers(0, 256, (len(ids), 32, 32, 3), dtype=np.uint8)
    return ImageStore.from_arrays(ids, pixels)


def test_models_see_the_test_images_by_id(images, weights):
    labels = matrix_of(num_test=9)
    checkpoint = checkpoint_of("student", weights=weights[4])
    told = predict_test_split(images, labels, TRAINING, checkpoint)
    turned = ImageStore.from_arrays(images.ids[::-1], images.pixels[::-1])
    again = predict_test_split(turned, labels, TRAINING, checkpoint)
    assert told.ids.tolist() == labels.in_split("test").ids.tolist()
    assert told.logits["student"].shape == (9, 4)
    np.testing.assert_allclose(told.logits["student"], again.logits["student"], atol=1e-5)


@pytest.mark.parametrize(
    ("names", "labels", "error", "message"),
    [
        (["user_0", "user_0"], NAMES, CheckpointError, "two checkpoints are called 'user_0'"),
        (["student"], ("sea", "fog"), LabelError, "'fog'"),
    ],
)
def test_unfit_checkpoints_are_refused(images, weights, names, labels, error, message):
    made = [checkpoint_of(name, labels, weights=weights[len(labels)]) for name in names]
    with pytest.raises(error, match=message):
        predict_test_split(images, matrix_of(), TRAINING, *made)


def test_average_precision_is_a_column_a_model_and_a_row_a_label():
    labels = matrix_of()
    predictions = predictions_of(labels)
    table = tabulate_average_precision(predictions, labels)
    assert set(table) == {"label", "positives", "baseline", "cgp", "dgp", "student"}
    assert tuple(table["label"]) == NAMES
    states = labels.in_split("test").states
    assert table["positives"].tolist() == states.sum(axis=0).tolist()
    teacher = predictions.logits["teachers.dgp_1"]
    assert table["dgp"][3] == pytest.approx(
        100 * average_precision_score(states[:, 3], teacher[:, 1])
    )


def test_the_summary_agrees_with_itself():
    labels = matrix_of()
    partition = user_partition(GROUPS["cgp"], SPACE)
    predictions = predictions_of(labels, {"user": partition_names(partition)})
    made = [checkpoint_of(name, own) for name, own in predictions.labels.items()]
    trainings = describe_trainings(*made)
    summary = summarise_run(
        predictions,
        labels,
        pd.DataFrame({"id": ["x"]}),
        json.loads(json.dumps(trainings, allow_nan=False)),
        EvaluationOptions(),
        TRAINING,
        OPTIONS,
        TeacherOptions(),
        7,
        partition_user=partition,
    )
    assert summary["partitions"].keys() == summary["teachers"].keys() == {"user"}
    assert len(summary["teachers"]["user"]["parts"]) == partition.num_parts
    assert (summary["data"]["quarantined"], summary["seed"]) == (1, 7)
    assert summary["version"] == mlic.__version__ and summary["versions"] == {"torch": "2"}
    assert summary["fingerprints"] == {
        "images": "0123",
        "labels": labels.fingerprint,
        "partition_user": partition.fingerprint,
        **{checkpoint.info.name: checkpoint.fingerprint for checkpoint in made},
    }
    json.dumps(summary, allow_nan=False)


def test_passes_are_those_that_a_longer_baseline_is_given():
    partition, teachers = PartitionOptions(num_parts=2), TeacherOptions()
    training = TRAINING.model_copy(update={"epochs": 12})
    passes = count_passes(training, partition, teachers)
    assert passes["baseline"] == 12
    assert passes["psd"] == pytest.approx(count_psd_passes(training, partition, teachers), abs=1e-3)


def test_what_is_at_hand_of_other_models_is_taken_over(images, weights):
    labels = matrix_of(num_test=9)
    student, baseline = (
        checkpoint_of(name, weights=weights[4]) for name in ("student", "baseline")
    )
    said = predict_test_split(images, labels, TRAINING, baseline)
    both = predict_test_split(images, labels, TRAINING, student, said)
    assert both.logits.keys() == both.labels.keys() == {"student", "baseline"}
    np.testing.assert_array_equal(both.logits["baseline"], said.logits["baseline"])
    told = describe_trainings(student, describe_trainings(baseline))
    assert told == describe_trainings(student, baseline) and list(told) == ["student", "baseline"]
    others = matrix_of(num_test=8)
    with pytest.raises(DataError, match="not of the images of the test split"):
        predict_test_split(images, others, TRAINING, said)


def test_the_student_sees_the_images_it_learned_from(images, weights):
    labels = matrix_of(num_test=9)
    said = predict_learning_splits(
        images, labels, TRAINING, checkpoint_of("student", weights=weights[4])
    )
    assert said.ids.tolist() == labels.ids[labels.split != "test"].tolist()


def partition_names(partition):
    return [partition.names(part) for part in range(partition.num_parts)]


# --- wiring -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("strategies", "num_parts"), [(("cgp",), 1), (("cgp", "dgp"), 3)])
def test_the_pipeline_asks_for_every_model_once(strategies, num_parts):
    pipeline = create_pipeline(strategies, num_parts)
    checkpoints = {name for name in pipeline.inputs() if name.endswith(".checkpoint")}
    teachers = {f"teachers.{s}_{part}.checkpoint" for s in strategies for part in range(num_parts)}
    assert checkpoints == {"baseline.checkpoint", "student.checkpoint", *teachers}
    assert pipeline.inputs() >= {f"partition_{strategy}" for strategy in strategies}
    for function in (predict_test_split, describe_trainings, map_classes):
        ours = [node for node in pipeline.nodes if node.func is function]
        read = [name for node in ours for name in node.inputs if name in checkpoints]
        assert sorted(read) == sorted(checkpoints), function.__name__
    assert pipeline.outputs() == {"report"}, "what is made is shown"


@pytest.mark.parametrize("strategies", [("cgp", "dgp"), ("dgp", "user"), ("random", "full_label")])
def test_the_page_reads_the_surveys_of_the_graphs_that_were_cut(strategies):
    cut = [name for name in strategies if name in ("cgp", "dgp")]
    (write,) = [node for node in create_pipeline(strategies).nodes if node.func is write_report]
    surveys = {f"survey_{name}{kind}" for name in cut for kind in ("", "_figure")}
    assert {name for name in write.inputs if name.startswith("survey_")} == surveys
    assert ("suggested_parts" in write.inputs) == bool(cut)


def test_the_pipeline_from_checkpoints_to_the_page(images, weights):
    labels = matrix_of()
    statistics = count_labels(labels.in_split("train").states, SPACE)
    partition = user_partition(GROUPS["cgp"], SPACE)
    own = {f"teachers.user_{i}": names for i, names in enumerate(partition_names(partition))}
    own |= {"baseline": NAMES, "student": NAMES}
    entries = {
        "images": images,
        "labels": labels,
        "quarantine": pd.DataFrame({"id": [], "source": [], "reason": []}),
        "label_counts": tabulate_labels(labels),
        "label_statistics": statistics,
        "partition_user": partition,
        "partitions_figure": draw_partitions(statistics, partition_user=partition),
        "parameters": {"partition": OPTIONS, "model": ModelOptions(backbone="test_resnet")},
        "params:training": TRAINING,
        "params:partition": OPTIONS,
        "params:teachers": TeacherOptions(),
        "params:evaluation": EvaluationOptions(),
        "params:explain": ExplainOptions(images=4, examples=2),
        "params:seed": 0,
        **{
            f"{name}.checkpoint": checkpoint_of(name, names, weights=weights[len(names)])
            for name, names in own.items()
        },
    }
    catalog = DataCatalog({name: MemoryDataset(data) for name, data in entries.items()})
    page = SequentialRunner().run(create_pipeline(("user",), 2), catalog)["report"].load()
    assert page.startswith("<!DOCTYPE html>") and ">user_0</th>" in page
    told = re.findall(r'alt="(Map of [^"]*)"', page)
    assert len(told) == 2 * 3 and sum("teacher user_" in text for text in told) == 2
    drawn = (
        "label_counts",
        "networks",
        "training",
        "average_precision",
        "pair_errors",
        "partitions",
    )
    assert page.count('<script type="application/json">') == len(drawn)


def test_controls_are_asked_for_when_they_are_wired():
    pipeline = create_pipeline(("full_label", "random"), 2, num_full_label=3, longer=True)
    asked = {name for name in pipeline.inputs() if name.endswith(".checkpoint")}
    teachers = {f"teachers.random_{i}.checkpoint" for i in range(2)}
    teachers |= {f"teachers.full_label_{i}.checkpoint" for i in range(3)}
    assert (
        asked
        == {f"{name}.checkpoint" for name in ("baseline", "budget_matched_baseline", "student")}
        | teachers
    )
    partitions = {name for name in pipeline.inputs() if name.startswith("partition_")}
    assert partitions == {"partition_random"}

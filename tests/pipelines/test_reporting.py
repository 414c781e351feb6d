import json
import re

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

import mlic
from mlic.config.parameters import EvaluationOptions
from mlic.config.shape import RunShape
from mlic.distillation.targets import SoftTargets
from mlic.evaluation.metrics import mean_average_precision
from mlic.explain.class_maps import ClassMaps
from mlic.explain.options import ExplainOptions
from mlic.images.options import DataOptions, SyntheticOptions
from mlic.images.store import ImageStore
from mlic.images.synthetic.scenes import draw_scenes
from mlic.labels.options import PartitionOptions
from mlic.labels.partition import user_partition
from mlic.labels.statistics import count_labels
from mlic.models.options import ModelOptions
from mlic.pipelines.graph_partition.nodes import draw_partitions
from mlic.pipelines.label_statistics.nodes import tabulate_labels
from mlic.pipelines.reporting import create_pipeline
from mlic.pipelines.reporting.nodes import (
    describe_trainings,
    draw_average_precision,
    draw_class_maps,
    draw_label_counts,
    draw_pair_errors,
    draw_training_curves,
    map_classes,
    play_pointing_game,
    predict_learning_splits,
    predict_test_split,
    score_calibration,
    summarise_run,
    tabulate_decisions,
    tabulate_pair_errors,
    write_report,
)
from mlic.training.distillation_options import TeacherOptions
from tests.report.example_models import (
    GROUPS,
    NAMES,
    SPACE,
    TRAINING,
    checkpoint_of,
    images_of,
    matrix_of,
    predictions_of,
    weights_of,
)

OPTIONS = PartitionOptions(strategies="user", num_parts=2)


@pytest.fixture(scope="module")
def weights():
    return {size: weights_of(size) for size in (2, 4)}


@pytest.fixture(scope="module")
def images():
    return images_of(matrix_of())


def partition_names(partition):
    return [partition.names(part) for part in range(partition.num_parts)]


# --- nodes --------------------------------------------------------------------------------------


def test_summary_has_an_entry_per_partition_and_model():
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
        DataOptions(),
        7,
        score_calibration(predictions, trainings, labels, 7),
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
    assert set(summary["calibrated"]) == set(summary["sigmoid"]) == {"baseline", "student"}
    assert set(summary["intervals"]) == {"baseline", "student", "gain_over_baseline"}


def test_calibrated_scores_are_those_of_the_decisions():
    labels = matrix_of()
    predictions = predictions_of(labels)
    made = [checkpoint_of(name, own) for name, own in predictions.labels.items()]
    trainings = json.loads(json.dumps(describe_trainings(*made)))
    found = score_calibration(predictions, trainings, labels, 0)
    # binary cross-entropy means what its sigmoid says, and all thresholds are one half
    assert found["calibrated"] == found["sigmoid"]
    low, high = found["intervals"]["student"]["OF1"]
    assert low < found["calibrated"]["student"]["OF1"] < high
    low, high = found["intervals"]["gain_over_baseline"]
    gain = np.subtract(
        *(
            100 * mean_average_precision(predictions.logits[m], labels.in_split("test").states)
            for m in ("student", "baseline")
        )
    )
    assert low < gain < high
    table = tabulate_decisions(predictions, trainings, labels)
    assert table["threshold"].tolist() == [0.5] * len(NAMES)
    np.testing.assert_allclose(table["F1"], table["F1_sigmoid"])
    assert table["F1"].mean() == pytest.approx(found["calibrated"]["student"]["macro_F1"], abs=1e-3)
    json.dumps(found, allow_nan=False)


def test_student_predicts_the_images_it_was_trained_with(images, weights):
    labels = matrix_of(num_test=9)
    student = checkpoint_of("student", weights=weights[4])
    predictions = predict_learning_splits(images, labels, TRAINING, student)
    assert predictions.ids.tolist() == labels.ids[labels.split != "test"].tolist()


def test_pointing_game_uses_the_masks_of_the_images():
    raw, masks = draw_scenes(SyntheticOptions(num_images=12, size=32, label_noise=0), seed=3)
    rows, columns = np.nonzero(raw.labels.states == 1)
    perfect = (masks[rows] == columns[:, None, None] + 1).astype(np.float32)
    names = np.asarray(raw.labels.space.names)[columns]
    maps = ClassMaps(raw.labels.ids[rows], names, {"baseline": 0 * perfect, "student": perfect})
    game = play_pointing_game(maps, raw, {"masks": masks}, ExplainOptions(tolerance=0))
    assert game["student"] == 100 > game["baseline"] and game["pairs"] == len(maps)


def test_class_maps_are_drawn_for_the_most_frequent_labels():
    images = ImageStore.from_arrays(["p", "q"], np.zeros((2, 32, 32, 3), np.uint8))
    maps = {"student": np.ones((3, 4, 4), np.float32)}
    class_maps = ClassMaps(["q", "p", "q"], ["dog", "dog", "cow"], maps)
    rows = draw_class_maps(class_maps, images, ExplainOptions(examples=2))
    assert [row["label"] for row in rows] == ["dog", "cow"]
    assert draw_class_maps(class_maps, images, ExplainOptions(examples=0)) == []


class TestFigures:
    def test_label_counts(self):
        labels = matrix_of()
        figure = draw_label_counts(tabulate_labels(labels), labels)
        assert sum(figure.data[0].y) == (labels.in_split("train").states == 1).sum()

    def test_pair_errors_read_from_a_file(self, tmp_path):
        labels = matrix_of()
        table = tabulate_pair_errors(predictions_of(labels), labels)
        table.to_csv(tmp_path / "pairs.csv", index=False)
        again = pd.read_csv(tmp_path / "pairs.csv", dtype={"first": str, "second": str})
        assert draw_pair_errors(again).layout.yaxis.ticktext

    def test_average_precision(self):
        precision = {"baseline": [50.0, None, 7.0], "student": [60.0, None, 5.0]}
        table = pd.DataFrame({"label": list("abc"), "positives": [1, 0, 2], **precision})
        assert draw_average_precision(table).data[0].text == ("a", "c")

    def test_training_curves(self):
        trainings = {"student": {"history": [{"loss": 0.5, "validation_mAP_ema": 0.25}]}}
        assert draw_training_curves(trainings).data[0].y == (25,)


# --- pipeline -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("strategies", "num_parts"), [(("cgp",), 1), (("cgp", "dgp"), 3)])
def test_every_checkpoint_is_read_once(strategies, num_parts):
    pipeline = create_pipeline(RunShape(strategies=strategies, num_parts=num_parts))
    checkpoints = {name for name in pipeline.inputs() if name.endswith((".checkpoint", ".model"))}
    teachers = {f"teachers.{s}_{part}.checkpoint" for s in strategies for part in range(num_parts)}
    assert checkpoints == {"baseline.model", "student.model", *teachers}
    assert pipeline.inputs() >= {f"partition_{strategy}" for strategy in strategies}
    for function in (predict_test_split, describe_trainings, map_classes):
        ours = [node for node in pipeline.nodes if node.func is function]
        read = [name for node in ours for name in node.inputs if name in checkpoints]
        assert sorted(read) == sorted(checkpoints), function.__name__
    assert pipeline.outputs() == {"report"}, "the report shows every result"


@pytest.mark.parametrize("strategies", [("cgp", "dgp"), ("dgp", "user"), ("random", "full_label")])
def test_report_reads_the_surveys_of_the_partitioned_graphs(strategies):
    graphs = [name for name in strategies if name in ("cgp", "dgp")]
    (write,) = [
        node
        for node in create_pipeline(RunShape(strategies=strategies)).nodes
        if node.func is write_report
    ]
    surveys = {f"survey_{name}{kind}" for name in graphs for kind in ("", "_figure")}
    assert {name for name in write.inputs if name.startswith("survey_")} == surveys
    assert ("suggested_parts" in write.inputs) == bool(graphs)


def test_controls_are_read_if_they_are_configured():
    shape = RunShape(
        strategies=("full_label", "random"),
        num_parts=2,
        num_full_label=3,
        budget_matched_baseline=True,
    )
    pipeline = create_pipeline(shape)
    asked = {name for name in pipeline.inputs() if name.endswith((".checkpoint", ".model"))}
    teachers = {f"teachers.random_{i}.checkpoint" for i in range(2)}
    teachers |= {f"teachers.full_label_{i}.checkpoint" for i in range(3)}
    assert (
        asked
        == {f"{name}.model" for name in ("baseline", "budget_matched_baseline", "student")}
        | teachers
    )
    partitions = {name for name in pipeline.inputs() if name.startswith("partition_")}
    assert partitions == {"partition_random"}


def test_pointing_game_is_played_if_there_are_masks():
    with_masks, without = map(create_pipeline, (RunShape(), RunShape(source="catalog")))
    assert {"synthetic_masks", "synthetic_images"} <= with_masks.inputs()
    assert not {"synthetic_masks", "synthetic_images"} & without.inputs()
    assert with_masks.all_outputs() - without.all_outputs() == {"pointing_game"}


def test_pipeline_runs_from_checkpoints_to_the_page(images, weights):
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
        "soft_targets": SoftTargets(
            SPACE,
            labels.in_split("train").ids,
            {"user": np.zeros((1, len(labels.rows("train")), len(SPACE)), np.float32)},
            {"seed": 0},
            {"t": "f"},
        ),
        "partitions_figure": draw_partitions(statistics, partition_user=partition),
        "parameters": {
            "environment": "base",
            "partition": OPTIONS,
            "model": ModelOptions(backbone="test_resnet"),
        },
        "params:training": TRAINING,
        "params:partition": OPTIONS,
        "params:teachers": TeacherOptions(),
        "params:data": DataOptions(),
        "params:evaluation": EvaluationOptions(),
        "params:explain": ExplainOptions(images=4, examples=2),
        "params:seed": 0,
        **{
            f"{name}.{'checkpoint' if name.startswith('teachers') else 'model'}": checkpoint_of(
                name, names, weights=weights[len(names)]
            )
            for name, names in own.items()
        },
    }
    catalog = DataCatalog({name: MemoryDataset(data) for name, data in entries.items()})
    page = (
        SequentialRunner()
        .run(
            create_pipeline(RunShape(source="catalog", strategies=("user",), num_parts=2)), catalog
        )["report"]
        .load()
    )
    assert page.startswith("<!DOCTYPE html>") and ">user_0</th>" in page
    descriptions = re.findall(r'alt="(Map of [^"]*)"', page)
    assert len(descriptions) == 2 * 3
    assert sum("teacher user_" in text for text in descriptions) == 2
    drawn = (
        "label_counts",
        "networks",
        "training",
        "average_precision",
        "pair_errors",
        "partitions",
        "reliability",
        "decisions",
    )
    assert page.count('<script type="application/json">') == len(drawn)

import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from scipy.special import expit
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

import mlic
from mlic.errors import CheckpointError, DataError, LabelError
from mlic.explain.options import ExplainOptions
from mlic.images.store import PictureStore
from mlic.labels import LabelMatrix, LabelSpace
from mlic.labels.partition import user_partition
from mlic.labels.quality import partition_quality
from mlic.labels.statistics import count_labels
from mlic.models.options import ModelOptions
from mlic.parameters import EvaluationOptions
from mlic.pipelines.label_statistics.nodes import tabulate_labels
from mlic.pipelines.reporting import create_pipeline
from mlic.pipelines.reporting.html import render_report
from mlic.pipelines.reporting.nodes import (
    predict_test_split,
    summarise_run,
    tabulate_average_precision,
    write_report,
)
from mlic.pipelines.reporting.summary import (
    committees,
    describe_data,
    score_models,
    time_models,
)
from mlic.training.checkpoint import Checkpoint, CheckpointInfo
from mlic.training.options import TrainingOptions
from mlic.training.predictions import Predictions

NAMES = ("sea", "<b>R&D</b>", "cow", "field")
SPACE = LabelSpace(NAMES)
GROUPS = {"cgp": [("sea", NAMES[1]), ("cow", "field")], "dgp": [("sea", "cow"), NAMES[1::2]]}
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
        components={},
        versions={},
        epoch=1,
        averaged=True,
        validation_map=0.5,
        seconds=seconds,
        history=[],
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


def test_predictions_of_other_pictures_are_refused():
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
    """The oracle ranks each picture by hand; the evaluation's threshold is another."""
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
    groups = {"plain": [NAMES, NAMES[::-1]], "cgp": GROUPS["cgp"]}
    predictions, test = predictions_of(labels, groups), labels.in_split("test")
    own = {"longer": NAMES, **predictions.labels}
    longer = np.random.default_rng(5).normal(size=(40, 4)).astype(np.float32)
    predictions = Predictions(predictions.ids, {"longer": longer, **predictions.logits}, own)
    joined = committees(predictions, test)
    assert list(joined)[:2] == ["baseline", "longer"] and list(joined)[-1] == "student"
    one, two = (predictions.logits[f"teachers.plain_{i}"] for i in (0, 1))
    np.testing.assert_allclose(joined["plain"], (one + two[:, ::-1]) / 2, atol=1e-6)
    scores = score_models(predictions, test, 0.5)
    assert list(scores) == ["baseline", "longer", "teachers", "student"]
    truth = test.states == 1
    for figure, logits in (
        (scores["longer"]["mAP"], longer),
        (scores["teachers"]["plain"]["parts"][1], two[:, ::-1]),
        (scores["teachers"]["plain"]["mAP"], one + two[:, ::-1]),
    ):
        assert figure == pytest.approx(100 * average_precision_score(truth, logits), abs=1e-3)
    assert "longer" in tabulate_average_precision(predictions, labels)


def test_data_are_counted_by_split():
    labels = LabelMatrix(
        LabelSpace(("a", "b")),
        list("wxyz"),
        [[1, 1], [1, 0], [-1, 0], [0, 0]],
        ["train"] * 3 + [""],
    )
    data = describe_data(labels, 2)
    assert data["pictures"] == {"train": 3, "validation": 0, "test": 0}
    assert (data["quarantined"], data["labels"]) == (2, 2)
    assert (data["labels_per_picture"], data["unknown_share"]) == (0.75, 0.125)


def test_seconds_add_up():
    names = ["baseline", "teachers.cgp_0", "teachers.cgp_10", "teachers.dgp_0", "student"]
    seconds = time_models(checkpoint_of(name, seconds=2.0**i) for i, name in enumerate(names))
    assert seconds == {
        "baseline": 1,
        "teachers": {"cgp": 6, "dgp": 8},
        "student": 16,
        "total": 31,
    }
    control = checkpoint_of("longer", seconds=64.0)
    made = [checkpoint_of(name, seconds=1.0) for name in ("baseline", "student")]
    beside = time_models([*made, control])
    assert (beside["longer"], beside["total"]) == (64, 2)


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
def pictures():
    ids = matrix_of().ids[::-1]  # in another order than the labels
    pixels = np.random.default_rng(2).integers(0, 256, (len(ids), 32, 32, 3), dtype=np.uint8)
    return PictureStore.from_arrays(ids, pixels)


def test_models_see_the_test_pictures_by_id(pictures, weights):
    labels = matrix_of(num_test=9)
    checkpoint = checkpoint_of("student", weights=weights[4])
    told = predict_test_split(pictures, labels, TRAINING, checkpoint)
    turned = PictureStore.from_arrays(pictures.ids[::-1], pictures.pixels[::-1])
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
def test_unfit_checkpoints_are_refused(pictures, weights, names, labels, error, message):
    made = [checkpoint_of(name, labels, weights=weights[len(labels)]) for name in names]
    with pytest.raises(error, match=message):
        predict_test_split(pictures, matrix_of(), TRAINING, *made)


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
    predictions = predictions_of(labels)
    checkpoints = {
        name.replace(".", "_"): checkpoint_of(name, predictions.labels[name])
        for name in predictions.logits
    }
    partition = user_partition(GROUPS["cgp"], SPACE)
    predictions = predictions_of(labels, {"user": partition_names(partition)})
    summary = summarise_run(
        predictions,
        labels,
        pd.DataFrame({"id": ["x"]}),
        EvaluationOptions(),
        7,
        partition_cgp=partition,
        **checkpoints,
    )
    assert summary["partitions"].keys() == summary["teachers"].keys() == {"user"}
    assert len(summary["teachers"]["user"]["parts"]) == partition.num_parts
    assert (summary["data"]["quarantined"], summary["seed"]) == (1, 7)
    assert summary["version"] == mlic.__version__
    json.dumps(summary, allow_nan=False)


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
    assert pipeline.outputs() == {"report"} | pipeline.all_outputs() - {
        "test_predictions",
        "summary",
        "average_precision",
        "class_maps",
        "class_map_figure",
    }


@pytest.mark.parametrize("strategies", [("cgp", "dgp"), ("dgp", "user"), ("random", "plain")])
def test_the_page_reads_the_surveys_of_the_graphs_that_were_cut(strategies):
    read = {f"survey_{name}" for name in strategies if name in ("cgp", "dgp")}
    free = {"label_counts"} | read | ({"suggested_parts"} if read else set())
    (write,) = [node for node in create_pipeline(strategies).nodes if node.name == "write_report"]
    assert set(write.inputs) - {"summary", "average_precision", "class_map_figure"} == free


def test_the_pipeline_from_checkpoints_to_the_page(pictures, weights):
    labels = matrix_of()
    statistics = count_labels(labels.in_split("train").states, SPACE)
    partition = user_partition(GROUPS["cgp"], SPACE)
    own = {f"teachers.user_{i}": names for i, names in enumerate(partition_names(partition))}
    own |= {"baseline": NAMES, "student": NAMES}
    entries = {
        "pictures": pictures,
        "labels": labels,
        "quarantine": pd.DataFrame({"id": []}),
        "label_counts": tabulate_labels(labels),
        "partition_user": partition,
        "params:training": TRAINING,
        "params:evaluation": EvaluationOptions(),
        "params:explain": ExplainOptions(pictures=4, examples=2),
        "params:seed": 0,
        **{
            f"{name}.checkpoint": checkpoint_of(name, names, weights=weights[len(names)])
            for name, names in own.items()
        },
    }
    assert partition_quality(partition, statistics)  # every figure of it is told on the page
    catalog = DataCatalog({name: MemoryDataset(data) for name, data in entries.items()})
    outputs = SequentialRunner().run(create_pipeline(("user",), 2), catalog)
    page = Page(outputs["report"].load())
    assert page.table("on them in percent")[1][0] == "user_0"
    told = [about["alt"] for tag, about in page.tags if tag == "img"]
    assert len(told) == 2 * 4 and sum("teacher user_" in text for text in told) == 2


def test_controls_are_asked_for_when_they_are_wired():
    pipeline = create_pipeline(("plain", "random"), 2, num_plain=3, longer=True)
    asked = {name for name in pipeline.inputs() if name.endswith(".checkpoint")}
    teachers = {f"teachers.random_{i}.checkpoint" for i in range(2)}
    teachers |= {f"teachers.plain_{i}.checkpoint" for i in range(3)}
    assert asked == {f"{name}.checkpoint" for name in ("baseline", "longer", "student")} | teachers
    partitions = {name for name in pipeline.inputs() if name.startswith("partition_")}
    assert partitions == {"partition_random"}


# --- the page -----------------------------------------------------------------------------------


class Page(HTMLParser):
    """Tables of a page by caption, its tags, and whether all are closed in their order."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.tags, self.open, self.title, self.words = {}, [], [], "", ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag == "table":
            self.rows, self.caption = [], ""
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "table":
            self.tables[self.caption] = self.rows

    def handle_data(self, data):
        within = self.open[-1] if self.open else ""
        if within in ("td", "th"):
            self.rows[-1][-1] += data
        if within == "caption":
            self.caption += data
        if within == "p":
            self.words += data

    def table(self, caption):
        (found,) = [rows for name, rows in self.tables.items() if caption in name]
        return found


def figures_of(precision):
    return {"mAP": precision, "CF1": precision - 4.5, "OF1": precision + 1.25}


def example(names=NAMES):
    quality = partition_quality(
        user_partition([names[:2], names[2:]], LabelSpace(tuple(names))),
        count_labels(np.eye(4, dtype=np.int8) + np.eye(4, dtype=np.int8)[::-1], LabelSpace(names)),
    )
    partition = {"parts": [list(names[:2]), list(names[2:])], "quality": quality}
    summary = {
        "data": {
            "pictures": {"train": 1200, "validation": 150, "test": 300},
            "quarantined": 2,
            "labels": 4,
            "labels_per_picture": 2.5,
            "unknown_share": 0.0125,
        },
        "partitions": {"cgp": partition, "dgp": {**partition, "quality": quality | {"ncut": -0.5}}},
        "baseline": figures_of(60.0),
        "teachers": {
            "cgp": {**figures_of(62.0), "parts": [70.5, None]},
            "dgp": {**figures_of(61.0), "parts": [50.0, 55.5]},
        },
        "student": figures_of(63.456),
        "seconds": {
            "baseline": 100.0,
            "teachers": {"cgp": 250.0, "dgp": 260.0},
            "student": 150.0,
            "total": 760.0,
        },
        "seed": 3,
        "git": "0123456789ab+changes",
        "version": "0.1.0",
    }
    counts = pd.DataFrame(
        {
            "label": names,
            "train": [60, 600, 0, 300],
            "validation": [6, 60, 0, 30],
            "test": [12, 120, 1, 0],
            "unknown": [0, 9, 0, 0],
        }
    )
    precision = pd.DataFrame(
        {
            "label": names,
            "positives": [12, 120, 1, 0],
            "baseline": [50.0, 60.0, 70.0, np.nan],
            "student": [49.0, 62.5, 69.999, np.nan],
        }
    )
    return summary, counts, precision


@pytest.fixture
def page():
    return Page(render_report(*example()))


def test_the_page_stands_alone():
    text = render_report(*example())
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>\n") and ("html", {"lang": "en"}) in page.tags
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not re.search(r"https?:|//|url\(|@import|\bsrc=|\bhref=", text)


def test_every_table_is_captioned_and_every_header_has_a_scope(page):
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == tags.count("caption") == len(page.tables) == 8
    assert all(about["scope"] in ("col", "row") for tag, about in page.tags if tag == "th")
    assert all(len({len(row) for row in rows}) == 1 for rows in page.tables.values())


def test_colours_are_readable():
    style = re.search(r"<style>(.*)</style>", render_report(*example()), re.DOTALL).group(1)
    inks = re.findall(r"[{;]\s*color: #(\w{6})", style)
    papers = ["ffffff", *re.findall(r"(?:right,|background:) #(\w{6})", style)]
    assert (len(inks), len(papers)) == (2, 3)
    for ink in inks:
        for paper in papers:
            light, dark = brightness(paper), brightness(ink)
            assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.2, 1.4.3


def brightness(colour):
    """Relative luminance of the sRGB colour space (WCAG 2.2)."""
    channels = np.array(list(bytes.fromhex(colour))) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_the_verdict_comes_first(page):
    assert page.words.startswith(
        "The student reaches 63.46\N{NO-BREAK SPACE}% mAP on the test split, 3.46 points above "
        "the baseline's 60.00\N{NO-BREAK SPACE}%, at 6.6 times the baseline's seconds with its "
        "teachers, 1.5 times without."
    )


def test_the_verdict_tells_a_loss():
    summary, counts, precision = example()
    summary["student"]["mAP"] = 58.0
    assert "2.00 points below" in Page(render_report(summary, counts, precision)).words


def test_a_run_without_positives_or_seconds_still_has_a_page():
    summary, counts, precision = example()
    summary["seconds"]["baseline"] = 0.0
    assert "at – times" in Page(render_report(summary, counts, precision)).words
    summary["baseline"] = summary["student"] = {}
    page = Page(render_report(summary, counts, precision))
    assert page.words.startswith("Baseline and student cannot be compared")
    assert page.table("test pictures")[1] == ["Baseline", "–", "–", "–", "0.0"]


def test_models_with_their_seconds(page):
    assert page.table("300 test pictures") == [
        ["Model", "mAP", "CF1", "OF1", "Seconds of training"],
        ["Baseline", "60.00", "55.50", "61.25", "100.0"],
        ["Teachers together: Co-occurrence (CGP)", "62.00", "57.50", "63.25", "250.0"],
        ["Teachers together: Dis-occurrence (DGP)", "61.00", "56.50", "62.25", "260.0"],
        ["Student", "63.46", "58.96", "64.71", "150.0"],
    ]


def test_data_and_label_counts(page):
    data = dict(page.table("Pictures and labels"))
    assert (data["Pictures, train"], data["Pictures quarantined (unreadable)"]) == ("1,200", "2")
    rows = page.table("Pictures with each label")[1:]
    assert [row[0] for row in rows] == [NAMES[1], "field", "sea", "cow"]
    assert rows[0][1:] == ["600", "60", "120", "9", "50.0\N{NO-BREAK SPACE}%"]
    bars = [about["style"] for _, about in page.tags if about.get("class") == "bar"]
    assert bars == ["--share:100.0%", "--share:50.0%", "--share:10.0%", "--share:0.0%"]


def test_groups_and_quality(page):
    assert page.table("(CGP)")[1:] == [
        ["cgp_0", "sea, <b>R&D</b>", "2", "70.50"],
        ["cgp_1", "cow, field", "2", "–"],
    ]
    quality = page.table("Quality")
    assert quality[1][:3] == ["normalised cut", "2.000", "−0.500"]
    assert len(quality) == 1 + 8 and all(meaning for *_, meaning in quality)
    assert not any("_" in title for title, *_ in quality), "a figure without a name of its own"


def test_named_groups_show_their_names():
    summary, counts, precision = example()
    summary["partitions"]["cgp"]["titles"] = ["water", "<i>land</i>"]
    page = Page(render_report(summary, counts, precision))
    assert page.table("(CGP)") == [
        ["Teacher", "Group", "Labels", "Number", "mAP"],
        ["cgp_0", "water", "sea, <b>R&D</b>", "2", "70.50"],
        ["cgp_1", "<i>land</i>", "cow, field", "2", "–"],
    ]
    assert page.table("(DGP)")[0] == ["Teacher", "Labels", "Number", "mAP"]


def test_each_plain_teacher_shows_its_figure():
    summary, counts, precision = example()
    summary["teachers"]["plain"] = {**figures_of(64.0), "parts": [63.25, None, 62.0]}
    page = Page(render_report(summary, counts, precision))
    assert page.table("mAP of each") == [
        ["Teacher", "mAP"],
        ["plain_0", "63.25"],
        ["plain_1", "–"],
        ["plain_2", "62.00"],
    ]
    assert "Teachers together: Plain ensemble" in [row[0] for row in page.table("test pictures")]


def test_the_other_f1_have_a_table_of_their_own():
    summary, counts, precision = example()
    summary["student"] |= {"macro_F1": 55.0, "CF1_top3": 56.0, "OF1_top3": 57.125}
    rows = Page(render_report(summary, counts, precision)).table("F1 the other ways")
    assert rows[0] == ["Model", "Macro F1", "CF1, top 3", "OF1, top 3"]
    assert rows[1] == ["Baseline", "–", "–", "–"] and len(rows) == 5
    assert rows[-1] == ["Student", "55.00", "56.00", "57.12"]


def survey_of(*ks):
    row = {"smallest": 2, "largest": 40, "ncut": 1.25, "mass_graph": 0.75, "stability": 1.0}
    rows = [{"num_parts": k, **row, "mass_graph_random": 0.5, "mass_counts": 9.0} for k in ks]
    return pd.DataFrame(rows)


def test_the_number_of_groups_in_use_is_marked_among_the_others():
    surveys = {"cgp": survey_of(2, 3, 4), "dgp": survey_of(2, 3)}
    suggestion = {"num_parts": 3, "share": 0.95, "modularity": 0.4126}
    page = Page(render_report(*example(), surveys=surveys, suggested_parts=suggestion))
    rows = page.table("Co-occurrence (CGP): quality for every K")
    assert rows[0][:2] == ["K", "Labels a group"] and not any("_" in name for name in rows[0])
    assert rows[1] == ["2, in use", "2–40", "1.250", "0.750", "0.500", "1.000"]
    assert [row[0] for row in rows[2:]] == ["3", "4"]
    assert sum(about.get("class") == "chosen" for _, about in page.tags) == 2, "one a table"
    told = "falls into 3 communities (Louvain, 95 % of the seeds, modularity 0.41)"
    assert told in page.words


def test_without_communities_the_page_says_so():
    suggestion = {"num_parts": None, "share": 1.0, "modularity": 0.0}
    surveys = {"cgp": survey_of(2)}
    page = Page(render_report(*example(), surveys=surveys, suggested_parts=suggestion))
    assert "keep no company" in page.words and "communities (Louvain" not in page.words
    assert "Other numbers" not in render_report(*example(), suggested_parts=suggestion)


def test_partitions_by_hand_have_no_quality():
    summary, counts, precision = example()
    for partition in summary["partitions"].values():
        partition["quality"] = {}
    page = Page(render_report(summary, counts, precision))
    assert len(page.tables) == 7


def test_the_pointing_game_stands_beside_chance():
    summary, counts, precision = example()
    summary["pointing_game"] = {
        "baseline": 30.0,
        "student": None,
        "teachers": {"cgp": 41.5},
        "chance": 8.25,
        "pairs": 1500,
        "pictures": 200,
        "tolerance_pixels": 3,
    }
    page = Page(render_report(summary, counts, precision, '<p class="of-ours">maps</p>'))
    assert page.table("1,500 labels of 200 test pictures") == [
        ["Model", "Hits, percent"],
        ["Baseline", "30.00"],
        ["Teachers: Co-occurrence (CGP)", "41.50"],
        ["Student", "–"],
        ["A place drawn at random", "8.25"],
    ]
    assert "within 3 px" in page.words and ("p", {"class": "of-ours"}) in page.tags
    assert "Where the models look" not in render_report(*example())


def test_labels_stand_by_what_the_student_gained(page):
    assert page.table("ahead on 1 labels, behind on 2")[1:] == [
        [NAMES[1], "120", "60.00", "62.50", "+2.50"],
        ["cow", "1", "70.00", "70.00", "+0.00"],
        ["sea", "12", "50.00", "49.00", "−1.00"],
        ["field", "0", "–", "–", "–"],
    ]


def test_the_page_is_the_same_after_a_walk_through_files(tmp_path):
    summary, counts, precision = example()
    counts.to_csv(tmp_path / "counts.csv", index=False)
    precision.to_csv(tmp_path / "precision.csv", index=False)
    again = render_report(
        json.loads(json.dumps(summary)),
        pd.read_csv(tmp_path / "counts.csv"),
        pd.read_csv(tmp_path / "precision.csv"),
    )
    assert again == render_report(summary, counts, precision)


def test_tables_of_two_runs_are_not_joined():
    summary, counts, precision = example()
    assert write_report(summary, counts, precision) == render_report(summary, counts, precision)
    with pytest.raises(LabelError, match="label 0 is 'sea' in label_counts but 'field' in aver"):
        write_report(summary, counts, precision[::-1])


def test_the_footer_tells_seed_commit_and_version():
    summary, counts, precision = example()
    assert "Seed 3 · commit 0123456789ab+changes · mlic 0.1.0" in render_report(
        summary, counts, precision
    )
    summary["git"] = "<0>"
    assert "commit &lt;0&gt;" in render_report(summary, counts, precision)
    summary["git"] = None
    assert "commit not under git" in render_report(summary, counts, precision)


TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1).filter(str.strip)


@settings(max_examples=50, deadline=None)
@given(names=st.lists(TEXTS, min_size=4, max_size=4, unique=True))
def test_any_label_name_is_shown_as_it_is(names):
    page = Page(render_report(*example(tuple(names))))
    for caption in ("Pictures with each label", "ahead on"):
        assert {row[0] for row in page.table(caption)[1:]} == set(names)
    assert page.table("(DGP)")[2][1] == ", ".join(names[2:])

"""Nodes that look for mistakes, and the figures of the report."""

import base64
import io
from typing import get_type_hints

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mlic.evaluation.predictions import Predictions
from mlic.images.store import ImageStore
from mlic.labels import LabelMatrix, LabelSpace
from mlic.pipelines.label_statistics.nodes import tabulate_labels
from mlic.report import report_figures as figures
from mlic.report.error_analysis import (
    find_label_issues,
    show_images,
    tabulate_pair_errors,
)

SPACE = LabelSpace(("sea", "cow", "1"))


@pytest.fixture(scope="module")
def labels():
    """60 images, in the order of no split."""
    rng = np.random.default_rng(0)
    states = (rng.random((60, 3)) < 0.4).astype(np.int8)
    split = rng.permutation(["train"] * 30 + ["validation"] * 10 + ["test"] * 20)
    return LabelMatrix(SPACE, [f"p{i:02}" for i in range(60)], states, split)


@pytest.fixture(scope="module")
def learned(labels):
    """Predictions of the truth; the student contradicts one state of each split."""
    said = {}
    for kind, rows in (
        ("test", labels.rows("test")),
        ("learning", np.flatnonzero(labels.split != "test")),
    ):
        logits = np.where(labels.states[rows] == 1, 3.0, -3.0).astype(np.float32)
        wrong = logits.copy()
        own = labels.split[rows].tolist()
        for number, split in enumerate(dict.fromkeys(own)):
            wrong[own.index(split), 1] *= -2 - number
        names = {"baseline": SPACE.names, "student": SPACE.names}
        said[kind] = Predictions(labels.ids[rows], {"baseline": logits, "student": wrong}, names)
    return said


@pytest.fixture(scope="module")
def issues(labels, learned):
    return find_label_issues(learned["test"], learned["learning"], labels)


def test_one_issue_of_each_split_is_found(labels, issues):
    assert set(issues["split"]) == {"train", "validation", "test"} and len(issues) == 3
    assert issues["self_confidence"].is_monotonic_increasing
    for row in issues.to_dict("records"):
        place = labels.ids.tolist().index(row["id"])
        assert (labels.split[place], row["label"]) == (row["split"], "cow")
        present = labels.states[place, 1] == 1
        assert row["given"] == ("present" if present else "absent")
        assert (row["probability"] < 50) == present


def test_pairs_that_the_student_alone_gets_wrong(labels, learned):
    table = tabulate_pair_errors(learned["test"], labels)
    assert (table["baseline_together"] == table["together"]).all()
    assert (table["baseline_confused"] == 0).all()
    assert (table["student_together"] != table["together"]).any()
    assert set(table["first"]) | set(table["second"]) <= set(SPACE.names)


def test_cards_show_present_labels_and_the_likeliest_others(labels, learned, issues):
    shades = {name: 4 * i for i, name in enumerate(labels.ids[::-1].tolist())}
    pixels = np.stack([np.full((8, 8, 3), shade, np.uint8) for shade in shades.values()])
    store = ImageStore.from_arrays(shades, pixels)
    cards = show_images(learned["test"], labels, issues, store)
    assert len(cards["examples"]) == 12 and len(cards["issues"]) == 3
    for card in cards["examples"]:
        states = labels.states[labels.ids.tolist().index(card["id"])]
        marks = {score["label"]: score["mark"] for score in card["scores"]}
        wanted = {n: "✓" if s == 1 else "✗" for n, s in zip(SPACE.names, states, strict=True)}
        assert marks == wanted
        assert {score["baseline"] for score in card["scores"]} <= {5, 95}
    for card in cards["examples"] + cards["issues"]:
        data = base64.b64decode(card["source"].removeprefix("data:image/jpeg;base64,"))
        assert np.asarray(Image.open(io.BytesIO(data))).mean() == pytest.approx(
            shades[card["id"]], abs=1.5
        )
    assert [card["id"] for card in cards["issues"]] == issues["id"].tolist()
    assert "“cow” is given as" in cards["issues"][0]["claim"]


def test_figures_are_drawn_from_what_files_hold(labels, learned, tmp_path):
    drawn = figures.draw_label_counts(tabulate_labels(labels), labels)
    assert sum(drawn.data[0].y) == (labels.in_split("train").states == 1).sum()
    tabulate_pair_errors(learned["test"], labels).to_csv(tmp_path / "pairs.csv", index=False)
    again = pd.read_csv(tmp_path / "pairs.csv", dtype={"first": str, "second": str})
    assert figures.draw_pair_errors(again).layout.yaxis.ticktext
    precision = {"baseline": [50.0, None, 7.0], "student": [60.0, None, 5.0]}
    table = pd.DataFrame({"label": SPACE.names, "positives": [1, 0, 2], **precision})
    assert figures.draw_average_precision(table).data[0].text == ("sea", "1")
    history = {"student": {"history": [{"loss": 0.5, "validation_mAP_ema": 0.25}]}}
    assert figures.draw_training_curves(history).data[0].y == (25,)


@pytest.mark.parametrize("name", figures.__all__)
def test_kedro_can_read_the_annotations(name):
    assert "return" in get_type_hints(getattr(figures, name))

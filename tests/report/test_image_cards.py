import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mlic.evaluation.predictions import Predictions
from mlic.images.store import ImageStore
from mlic.labels import LabelMatrix, LabelSpace
from mlic.report.image_cards import example_cards, issue_cards
from mlic.training.calibration import Calibration
from mlic.training.options import Choice

SPACE = LabelSpace(("sea", "cow", "1"))
IDS = [f"p{i:02}" for i in range(20)]
GREY = {name: 12 * i for i, name in enumerate(IDS)}


@pytest.fixture(scope="module")
def labels():
    states = (np.random.default_rng(0).random((20, 3)) < 0.5).astype(np.int8)
    states[:, 0] = 1
    states[:5, 2] = -1
    return LabelMatrix(SPACE, IDS, states, ["test"] * 20)


@pytest.fixture(scope="module")
def images():
    """Images of one grey value each, in another order than the labels."""
    pixels = np.stack([np.full((8, 8, 3), GREY[name], np.uint8) for name in IDS[::-1]])
    return ImageStore.from_arrays(IDS[::-1], pixels)


def grey_of(source):
    data = base64.b64decode(source.removeprefix("data:image/jpeg;base64,"), validate=True)
    return np.asarray(Image.open(io.BytesIO(data))).mean()


def test_example_cards_show_marks_and_probabilities(labels, images):
    logits = np.where(labels.states == 1, 3.0, -3.0).astype(np.float32)
    models = {"baseline": -logits, "student": logits}
    predictions = Predictions(labels.ids, models, dict.fromkeys(models, SPACE.names))
    own = Calibration.unfitted(Choice(name="binary_cross_entropy"), len(SPACE))
    cards = example_cards(predictions, labels, images, dict.fromkeys(models, own))
    assert len(cards) == 12
    for card in cards:
        states = labels.states[IDS.index(card["id"])]
        expected = {
            n: {1: "✓", 0: "✗", -1: "?"}[s] for n, s in zip(SPACE.names, states, strict=True)
        }
        assert {score["label"]: score["mark"] for score in card["scores"]} == expected
        for score in card["scores"]:
            present = (5, 95) if score["mark"] == "✓" else (95, 5)
            assert (score["baseline"], score["student"]) == present
            assert score["predicted"] is (score["mark"] == "✓")
        assert grey_of(card["source"]) == pytest.approx(GREY[card["id"]], abs=1.5)


def test_issue_cards_show_each_image_once(images):
    issues = pd.DataFrame(
        {"id": ["p03", "p03", "p01"], "label": ["cow", "sea", "cow"], "given": "absent"}
    ).assign(split="test", probability=97.26)
    cards = issue_cards(issues, images)
    assert [card["id"] for card in cards] == ["p03", "p01"]
    assert "“cow” absent, as annotated" in cards[0]["claim"] and "97 %" in cards[0]["claim"]
    assert grey_of(cards[0]["source"]) == pytest.approx(GREY["p03"], abs=1.5)

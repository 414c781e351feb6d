"""The model card is made from the figures of the run alone."""

from dataclasses import replace

import pandas as pd

from mlic.report.model_card import write_model_card
from mlic.training.checkpoint import Averaging
from tests.inference.test_onnx_file import MODELS, NAMES, model_of

SUMMARY = {
    "data": {
        "images": {"train": 70, "validation": 10, "test": 20},
        "labels_per_image": 1.5,
        "unknown_share": 0.021,
    },
    "student": {"mAP": 61.26, "CF1": 40.0, "OF1": 41.0, "macro_F1": 39.0},
    "calibrated": {"student": {"CF1": 55.55, "OF1": 60.0, "exact_match": 12.0}},
    "intervals": {"student": {"mAP": [58.04, 64.06]}},
}
COUNTS = pd.DataFrame(
    {"label": list(reversed(NAMES)), "train": [3, 2, 1], "validation": [0] * 3, "test": [6, 5, 4]}
)


def test_card_has_the_figures_of_the_run():
    card = write_model_card(model_of(MODELS["convolutional"]).checkpoint, SUMMARY, COUNTS)
    assert "| mAP | 61.3 |  | 58.0 to 64.1 |" in card
    assert "| CF1 | 40.0 | 55.5 |" in card or "| CF1 | 40.0 | 55.6 |" in card
    assert "| exact match |  | 12.0 |" in card
    assert "| cat | 1 | 4 | 0.200 |" in card
    assert "| &lt;sofa> | 3 | 6 | 0.400 |" in card
    assert "2.1 % of the states are unknown" in card


def test_card_says_how_to_load_what_was_exported():
    for name, folder in (("convolutional", True), ("attention", False)):
        card = write_model_card(model_of(MODELS[name]).checkpoint, SUMMARY, COUNTS)
        assert ("local-dir:" in card) is folder


def test_card_says_that_a_student_was_averaged():
    checkpoint = model_of(MODELS["convolutional"]).checkpoint
    record = Averaging(
        share=0.75, images=9, barrier=-0.01, validation_maps={}, baseline="a", student="b"
    )
    info = checkpoint.info.model_copy(update={"averaging": record})
    card = write_model_card(replace(checkpoint, info=info), SUMMARY, COUNTS)
    assert "75 % those of the trained student and 25 % those of the baseline" in card

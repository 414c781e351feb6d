import numpy as np
import pytest

from mlic.distillation.targets import SoftTargets
from mlic.evaluation.predictions import Predictions
from mlic.labels import LabelMatrix, LabelSpace
from mlic.report.error_analysis import find_label_issues, tabulate_pair_errors
from mlic.training.calibration import Calibration
from mlic.training.options import Choice

SPACE = LabelSpace(("sea", "cow", "1"))


@pytest.fixture(scope="module")
def labels():
    """60 images whose splits are mixed."""
    rng = np.random.default_rng(0)
    states = (rng.random((60, 3)) < 0.4).astype(np.int8)
    split = rng.permutation(["train"] * 30 + ["validation"] * 10 + ["test"] * 20)
    return LabelMatrix(SPACE, [f"p{i:02}" for i in range(60)], states, split)


def predictions_of(labels, rows):
    """The true states; the student contradicts one state of each split."""
    logits = np.where(labels.states[rows] == 1, 3.0, -3.0).astype(np.float32)
    wrong = logits.copy()
    splits = labels.split[rows].tolist()
    for number, split in enumerate(dict.fromkeys(splits)):
        wrong[splits.index(split), 1] *= -2 - number
    names = {"baseline": SPACE.names, "student": SPACE.names}
    return Predictions(labels.ids[rows], {"baseline": logits, "student": wrong}, names)


@pytest.fixture(scope="module")
def test_predictions(labels):
    return predictions_of(labels, labels.rows("test"))


def test_planted_errors_of_every_split_are_found(labels, test_predictions):
    learning = predictions_of(labels, np.flatnonzero(labels.split != "test"))
    train = labels.in_split("train")
    views = {
        "cgp": np.repeat(predictions_of(labels, labels.rows("train")).logits["student"][None], 2, 0)
    }
    targets = SoftTargets(SPACE, train.ids, views, {"seed": 0}, {"t": "f"})
    calibration = Calibration.unfitted(Choice(name="binary_cross_entropy"), len(SPACE))
    issues = find_label_issues(test_predictions, learning, targets, calibration, labels)
    # in the test split only one of two models contradicts the state: their mean does not
    assert set(issues["split"]) == {"train", "validation"} and len(issues) == 2
    assert issues["error_probability"].is_monotonic_decreasing
    for row in issues.to_dict("records"):
        place = labels.ids.tolist().index(row["id"])
        assert (labels.split[place], row["label"]) == (row["split"], "cow")
        present = labels.states[place, 1] == 1
        assert row["given"] == ("present" if present else "absent") != row["suggested"]
        assert (row["probability"] < 50) == present


def test_pair_errors_are_those_of_the_student_only(labels, test_predictions):
    table = tabulate_pair_errors(test_predictions, labels.in_split("test"))
    assert (table["baseline_together"] == table["together"]).all()
    assert (table["baseline_confused"] == 0).all()
    assert (table["student_together"] != table["together"]).any()
    assert set(table["first"]) | set(table["second"]) <= set(SPACE.names)

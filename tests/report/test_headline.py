import pytest

from mlic.report.headline import write_headline
from tests.report.example import entries_of, scores_of, summary_of

PRECISION = entries_of()["average_precision"]


def headline_of(**changes):
    return write_headline(summary_of() | changes, PRECISION)


def values_of(headline):
    return [tile["value"] for tile in headline["tiles"]]


@pytest.mark.parametrize(
    ("precision", "difference"), [(63.456, "3.46 points above"), (58.0, "2.00 points below")]
)
def test_sentence_compares_student_and_baseline(precision, difference):
    sentence = headline_of(student={"mAP": precision})["sentence"]
    assert difference in sentence and "60.00\N{NO-BREAK SPACE}%" in sentence


def test_tiles_show_gain_labels_and_cost():
    headline = headline_of()
    assert values_of(headline)[:3] == ["+3.46 points", "1 of 3 labels", "8.5 × baseline"]
    meanings = [tile["meaning"] for tile in headline["tiles"]]
    assert "2 have a lower" in meanings[1] and "6.6 × in measured time" in meanings[2]


def test_missing_control_is_an_option_and_not_an_alarm():
    control = headline_of()["tiles"][-1]
    assert control["value"] == "Optional"
    assert "--params controls.budget_matched_baseline=true" in control["meaning"]


def test_student_is_compared_with_the_budget_matched_baseline():
    control = headline_of(budget_matched_baseline=scores_of(65.0))["tiles"][-1]
    assert control["value"] == "−1.54 points" and "reaches 65.00" in control["meaning"]


def test_run_without_positives_has_no_comparison():
    headline = headline_of(baseline={}, student={})
    assert "cannot be compared" in headline["sentence"]
    assert values_of(headline) == ["8.5 × baseline"]


def test_baseline_without_measured_time_has_no_ratio():
    seconds = summary_of()["seconds"] | {"baseline": 0.0}
    assert "– × in measured time" in headline_of(seconds=seconds)["tiles"][2]["meaning"]

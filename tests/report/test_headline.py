import pytest

from mlic.report.headline import write_headline
from tests.report.example import entries_of, scores_of, summary_of

PRECISION = entries_of()["average_precision"]


def headline_of(**changes):
    return write_headline(summary_of() | changes, PRECISION)


def values_of(headline):
    return [tile["value"] for tile in headline["tiles"]]


@pytest.mark.parametrize(
    ("precision", "difference"), [(63.456, "3.5 points above"), (58.0, "2.0 points below")]
)
def test_sentence_compares_student_and_baseline(precision, difference):
    sentence = headline_of(student={"mAP": precision})["sentence"]
    assert difference in sentence and "60.0\N{NO-BREAK SPACE}%" in sentence


def test_tiles_show_gain_labels_and_cost():
    headline = headline_of()
    assert values_of(headline)[:3] == ["+3.5 points", "1 of 3 labels", "8.5 × baseline"]
    meanings = [tile["meaning"] for tile in headline["tiles"]]
    assert "2 have a lower" in meanings[1] and "6.6 × in measured time" in meanings[2]


def test_run_without_the_control_does_not_mention_it():
    assert values_of(headline_of())[-1] == "8.5 × baseline"


def test_gain_has_the_interval_of_the_test_images():
    tile = headline_of(intervals={"gain_over_baseline": [-0.44, 7.36]})["tiles"][0]
    assert "From −0.4 to +7.4" in tile["meaning"]


def test_decisions_are_compared_with_those_of_the_plain_sigmoid():
    scores = {"sigmoid": {"student": {"OF1": 50.0}}, "calibrated": {"student": {"OF1": 65.54}}}
    tile = headline_of(**scores)["tiles"][2]
    assert tile["value"] == "OF1 65.5\N{NO-BREAK SPACE}%" and "50.0" in tile["meaning"]


@pytest.mark.parametrize(("number", "gain"), [(12, "+3 points"), (40_000, "+3.46 points")])
def test_decimals_follow_the_number_of_test_images(number, gain):
    data = summary_of()["data"]
    data["images"]["test"] = number
    assert values_of(headline_of(data=data))[0] == gain


def test_student_is_compared_with_the_budget_matched_baseline():
    control = headline_of(budget_matched_baseline=scores_of(65.0))["tiles"][-1]
    assert control["value"] == "−1.5 points" and "reaches 65.0" in control["meaning"]


def test_run_without_positives_has_no_comparison():
    headline = headline_of(baseline={}, student={})
    assert "cannot be compared" in headline["sentence"]
    assert values_of(headline) == ["8.5 × baseline"]


def test_baseline_without_measured_time_has_no_ratio():
    seconds = summary_of()["seconds"] | {"baseline": 0.0}
    assert "– × in measured time" in headline_of(seconds=seconds)["tiles"][2]["meaning"]

import pandas as pd
import pytest

from mlic.report import tables
from tests.report.example import NAMES, entries_of, scores_of, summary_of


@pytest.fixture(scope="module")
def entries():
    return entries_of()


def test_model_table_has_a_row_per_model_and_ensemble():
    table = tables.model_table(summary_of())
    assert "300 test images" in table.caption
    assert [(row[0], row[1], *row[3:5], row[-1]) for row in table.rows] == [
        ("Baseline", "60.0", "55.5", "61.2", "100.0"),
        ("Ensemble of CGP teachers", "62.0", "57.5", "63.2", "250.0"),
        ("Ensemble of DGP teachers", "61.0", "56.5", "62.2", "260.0"),
        ("Student", "63.5", "59.0", "64.7", "150.0"),
    ]


def test_model_table_shows_intervals_and_calibrated_scores():
    summary = summary_of() | {
        "intervals": {"student": {"mAP": [60.04, 66.96]}},
        "calibrated": {"student": {"CF1": 70.0, "OF1": 71.0, "exact_match": 12.25}},
    }
    table = tables.model_table(summary)
    row = dict(zip(table.columns, table.rows[-1], strict=True))
    assert row["95 % interval"] == "60.0 to 67.0"
    assert (row["CF1"], row["OF1"], row["Exact match"]) == ("70.0", "71.0", "12.2")
    assert table.rows[0][2] == "–"


def test_calibration_table_shows_both_kinds_of_probabilities():
    figures = {"ECE": 0.0154, "log_loss": 0.33, "brier": 0.1, "OF1": 65.0, "predicted_labels": 2.96}
    own = {"student": {**figures, "present_labels": 2.43}}
    table = tables.calibration_table(summary_of() | {"sigmoid": own, "calibrated": own})
    assert [row[:3] for row in table.rows] == [
        ["Student", "sigmoid, 0.5", "0.015"],
        ["Student", "calibrated", "0.015"],
    ]
    assert "2.4 labels are present" in table.caption
    assert tables.calibration_table(summary_of()) is None


def test_decision_table_has_a_row_for_every_label(entries):
    rows = tables.decision_table(entries["label_decisions"]).rows
    assert rows[0] == ["sea", "12", "0.250", "50.0", "60.0", "54.5", "40.0"]
    assert rows[3][3:] == ["–"] * 4


def test_model_table_includes_the_controls():
    summary = summary_of() | {"budget_matched_baseline": scores_of(65.0)}
    summary["teachers"]["full_label"] = {**scores_of(64.0), "parts": []}
    summary["seconds"]["budget_matched_baseline"] = 640.0
    titles = [row[0] for row in tables.model_table(summary).rows]
    assert titles[1] == "Budget-matched baseline"
    assert titles[-2] == "Ensemble of full-label teachers"


def test_undefined_scores_are_dashes():
    table = tables.model_table(summary_of() | {"baseline": {}})
    assert table.rows[0] == ["Baseline", *["–"] * 7, "100.0"]


def test_f1_table_shows_the_other_variants():
    more = {"macro_F1": 55.0, "CF1_top3": 56.0, "OF1_top3": 57.125}
    table = tables.f1_table(summary_of() | {"student": scores_of(63.0) | more})
    assert table.columns == ("Model", "Macro F1", "CF1, top 3", "OF1, top 3")
    assert table.rows[0] == ["Baseline", "–", "–", "–"] and len(table.rows) == 4
    assert table.rows[-1] == ["Student", "55.0", "56.0", "57.1"]


def test_data_table_counts_images():
    data = dict(tables.data_table(summary_of()["data"]).rows)
    assert (data["Images, train"], data["Unreadable images"]) == ("1,200", "2")


def test_count_table_starts_with_the_most_frequent_label(entries):
    rows = tables.count_table(entries["label_counts"]).rows
    assert [row[0] for row in rows] == [NAMES[1], "field", "sea", "cow"]
    assert rows[0][1:] == ["600", "60", "120", "9"]


def test_quarantine_table_exists_only_if_images_are_unreadable(entries):
    assert tables.quarantine_table(entries["quarantine"]).rows == [["<x>", "a.jpg", "truncated"]]
    assert tables.quarantine_table(entries["quarantine"][:0]) is None


def test_training_table_shows_the_selected_epoch(entries):
    assert tables.training_table(entries["trainings"]).rows == [
        ["baseline", "2", "2, averaged", "62.50", "1.0"],
        ["cgp_0", "3", "3, averaged", "62.50", "12.3"],
        ["student", "2", "2, averaged", "62.50", "150.0"],
    ]


def test_precision_table_is_sorted_by_the_gain_of_the_student(entries):
    table = tables.precision_table(entries["average_precision"])
    assert "better on 1 labels, worse on 2" in table.caption
    assert table.rows == [
        [NAMES[1], "120", "60.00", "62.50", "+2.50"],
        ["cow", "1", "70.00", "70.00", "+0.00"],
        ["sea", "12", "50.00", "49.00", "−1.00"],
        ["field", "0", "–", "–", "–"],
    ]


def test_pair_table_shows_the_counts_of_both_models(entries):
    table = tables.pair_table(entries["pair_errors"])
    assert table.rows == [[f"{NAMES[1]}, cow", "1,200", "7", "5", "3", "2"]]


def test_issue_table_shows_the_first_rows_of_a_long_table(entries):
    issues = entries["label_issues"]
    assert tables.issue_table(issues).rows == [["<y>", "test", NAMES[1], "absent", "97.3", "61.5"]]
    table = tables.issue_table(pd.concat([issues] * 60))
    assert len(table.rows) == 50 and "The first 50 of 60" in table.caption


def test_pointing_table_includes_chance():
    game = {
        "baseline": 30.0,
        "student": None,
        "teachers": {"cgp": 41.5},
        "chance": 8.25,
        "pairs": 1500,
        "images": 200,
    }
    table = tables.pointing_table(game)
    assert "1,500 labels of 200 test images" in table.caption
    assert table.rows == [
        ["Baseline", "30.00"],
        ["Ensemble of CGP teachers", "41.50"],
        ["Student", "–"],
        ["Random position", "8.25"],
    ]
    assert tables.pointing_table(None) is None


def test_provenance_and_parameters_are_listed_by_name(entries):
    rows = tables.provenance_table(summary_of()).rows
    assert rows == [["Version of torch", "2.11"], ["Fingerprint of labels", "0123"]]
    parameters = dict(tables.parameter_table(entries["parameters"]).rows)
    assert (parameters["evaluation.threshold"], parameters["model.weights"]) == ("0.5", "null")


def test_graph_of_the_head_names_neighbours_and_counts_labels_without_any():
    graph = {"sea": ["boat", "sky"], "boat": ["sea"], "sky": []}
    table = tables.head_graph_table({"student": {"label_graph": graph}})
    assert table.rows == [["sea", "boat, sky"], ["boat", "sea"], ["sky", "–"]]
    assert "1 of 3 labels" in table.caption
    assert tables.head_graph_table({"student": {}}) is None

import pandas as pd

from mlic.report.groups import group_tables, quality_table, survey_tables
from tests.report.example import scores_of, summary_of


def test_group_tables_show_labels_and_precision_of_each_teacher():
    cgp, dgp = group_tables(summary_of())
    assert "(CGP)" in cgp.caption and "(DGP)" in dgp.caption
    assert cgp.columns == ("Teacher", "Labels", "Number", "mAP")
    assert cgp.rows == [
        ["cgp_0", "sea, <b>R&D</b>", "2", "70.50"],
        ["cgp_1", "cow, field", "2", "–"],
    ]


def test_group_tables_show_titles_of_groups_that_have_them():
    summary = summary_of()
    summary["partitions"]["cgp"]["titles"] = ["water", "land"]
    cgp, dgp = group_tables(summary)
    assert cgp.columns == ("Teacher", "Group", "Labels", "Number", "mAP")
    assert [row[1] for row in cgp.rows] == ["water", "land"]
    assert "Group" not in dgp.columns


def test_full_label_teachers_have_a_table_without_labels():
    summary = summary_of()
    summary["teachers"]["full_label"] = {**scores_of(64.0), "parts": [63.25, None, 62.0]}
    table = group_tables(summary)[-1]
    assert table.columns == ("Teacher", "mAP")
    assert table.rows == [
        ["full_label_0", "63.25"],
        ["full_label_1", "–"],
        ["full_label_2", "62.00"],
    ]


def test_quality_table_explains_every_score():
    partitions = summary_of()["partitions"]
    table = quality_table(partitions)
    assert table.rows[0][:3] == ["normalised cut", "2.000", "−0.500"]
    assert len(table.rows) == len(partitions["cgp"]["quality"])
    assert all(meaning for *_, meaning in table.rows)
    assert not any("_" in title for title, *_ in table.rows), "a score without a title"


def test_partitions_without_scores_have_no_quality_table():
    assert quality_table({"user": {"quality": {}}}) is None


def survey_of(*ks):
    row = {"smallest": 2, "largest": 40, "ncut": 1.25, "coverage_graph": 0.75, "stability": 1.0}
    rows = [
        {"num_parts": k, **row, "coverage_graph_random": 0.5, "coverage_counts": 9.0} for k in ks
    ]
    return pd.DataFrame(rows)


def test_survey_tables_mark_the_number_of_groups_in_use():
    surveys = {"cgp": survey_of(2, 3, 4), "dgp": survey_of(3, 4)}
    cgp, dgp = survey_tables(summary_of()["partitions"], surveys)
    assert cgp.columns[:2] == ("K", "Labels per group")
    assert not any("_" in name for name in cgp.columns)
    assert cgp.rows[0] == ["2, in use", "2–40", "1.250", "0.750", "0.500", "1.000"]
    assert [row[0] for row in cgp.rows[1:]] == ["3", "4"]
    assert (cgp.marked, dgp.marked) == (0, None)

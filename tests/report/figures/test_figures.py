import numpy as np
import pytest

from mlic.report.figures import (
    draw_average_precision,
    draw_label_counts,
    draw_pair_errors,
    draw_training_curves,
)

NAMES = ("sea", "<b>R&D</b>", "cow")
SHOWN = ("sea", "&lt;b&gt;R&amp;D&lt;/b&gt;", "cow")


# --- counts -------------------------------------------------------------------------------------


def test_label_counts_are_sorted_and_label_numbers_are_counted():
    counts = {"train": np.array([3, 9, 5]), "test": np.array([30, 90, 50])}
    bars, spread = draw_label_counts(NAMES, counts, np.array([1, 1, 3, 1])).data
    assert bars.type == "bar" and bars.x == (SHOWN[1], "cow", "sea")
    assert list(bars.y) == [9, 5, 3]
    assert bars.customdata.tolist() == [[9, 90], [5, 50], [3, 30]]
    assert list(spread.x) == [1, 3] and list(spread.y) == [75, 25]


def test_skewed_label_counts_have_a_logarithmic_axis():
    even = draw_label_counts(NAMES, {"train": np.array([3, 9, 5])}, np.array([1]))
    assert even.layout.yaxis.type != "log" and even.layout.yaxis.rangemode == "tozero"
    skewed = draw_label_counts(NAMES, {"train": np.array([3, 900, 5])}, np.array([1]))
    assert skewed.layout.yaxis.type == "log" and skewed.data[0].mode == "markers"


# --- training -----------------------------------------------------------------------------------


def history_of(*scores):
    return [{"loss": 1 - s, "validation_mAP_raw": s, "validation_mAP_ema": s - 0.1} for s in scores]


def test_training_curves_share_an_axis_and_teachers_a_line_style():
    figure = draw_training_curves(
        {
            "baseline": history_of(0.2, 0.4),
            "teachers.cgp_0": history_of(0.1, 0.2, 0.3),
            "teachers.cgp_10": history_of(0.1, 0.2, 0.3),
            "teachers.dgp_0": history_of(0.1, 0.2, 0.3),
            "student": history_of(0.1, 0.2, 0.3, 0.5),
        }
    )
    scores = [trace for trace in figure.data if trace.yaxis == "y"]
    by_name = {trace.name: trace for trace in scores}
    assert all(trace.x[-1] == 100 for trace in figure.data)
    assert by_name["Student, 4 epochs"].y == pytest.approx((10, 20, 30, 50))
    assert by_name["Baseline, 2 epochs"].x == (50, 100)
    names = [trace.name for trace in figure.data if trace.showlegend]
    assert len(names) == len(set(names)) == 4, "one entry for both CGP teachers"
    lines = {trace.name: (trace.line.color, trace.line.dash) for trace in scores}
    assert len(set(lines.values())) == 4
    assert scores[-1].name.startswith("Student"), "drawn over the teachers"


def test_training_curves_have_gaps_without_validation():
    figure = draw_training_curves({"baseline": [{"loss": 0.5}, *history_of(0.25)]})
    assert figure.data[0].y == (None, 25) and figure.data[1].y == (0.5, 0.75)


# --- precision ----------------------------------------------------------------------------------


def test_average_precision_omits_labels_without_a_positive():
    nan = np.array([50.0, np.nan, 60.0])
    points, _, baseline, student = draw_average_precision(NAMES, np.array([5, 0, 7]), nan, nan).data
    assert points.text == ("sea", "cow") and len(baseline.x) == len(student.x) == 2


def test_average_precision_names_the_largest_gains_and_losses():
    gains = np.array([*range(1, 21), *range(-40, -20)], dtype=float)
    names = [f"l{gain:.0f}" for gain in gains]
    baseline = np.full(40, 50.0)
    figure = draw_average_precision(names, np.full(40, 7), baseline, baseline + gains)
    named = figure.layout.yaxis2.ticktext
    assert named[0] == "l-40 (7)" and named[-1] == "l20 (7)" and len(named) == 20
    _, bars, before, after = figure.data
    assert list(after.x - before.x) == sorted([*range(-40, -30), *range(11, 21)])
    np.testing.assert_array_equal(bars.x[0::3], before.x)
    np.testing.assert_array_equal(bars.x[1::3], after.x)


# --- pairs --------------------------------------------------------------------------------------


def test_pair_errors_show_the_worst_pairs_of_each_kind_at_the_top():
    counts = {
        "together": np.array([10, 0, 5]),
        "baseline_together": np.array([9, 0, 5]),
        "student_together": np.array([2, 3, 5]),
        "baseline_confused": np.array([0, 1, 4]),
        "student_confused": np.array([0, 2, 1]),
    }
    figure = draw_pair_errors(NAMES, ("a", "b", "c"), counts)
    assert figure.layout.yaxis.ticktext == (f"{SHOWN[1]}, b", "sea, a")
    assert figure.layout.yaxis2.ticktext == (f"{SHOWN[1]}, b", "cow, c")
    truth, _, student, baseline, _ = figure.data
    assert list(truth.x) == [0, 10] and list(student.x) == [3, 2] and list(baseline.x) == [1, 4]
    assert [trace.showlegend for trace in figure.data] == [True] * 3 + [False] * 2

"""Pages show the tables of the script; its costs follow from rows worked out by hand."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import readme_tables

    yield readme_tables
    for name in ("readme_tables", "common"):
        sys.modules.pop(name, None)


def test_pages_show_the_committed_results(script):
    for page, blocks in script.pages().items():
        text = page.read_text(encoding="utf-8")
        for block in blocks:
            assert block in text, f"run benchmarks/readme_tables.py: {page.name}"


def test_tables_of_the_readme_are_short(script):
    for block in script.pages()[script.README]:
        assert len(block.splitlines()) <= 2 + 2 + 8  # marks, heading and at most eight rows


def test_costs_are_in_baseline_trainings(script):
    row = {
        "baseline s": 20.0,
        "joint s": 24.0,
        "frozen s": 4.0,
        "student s": 21.0,
        "plain epoch s": 2.0,
        "slow teachers s": 20.0,
        "one view s": 6.0,
        "slow student s": 8.0,
        "views": 4,
        "epochs": 12,
    }
    assert script.live_targets(row) == pytest.approx(14)
    assert script.cached_targets(row) == pytest.approx(10 + 1 + 1.05)
    assert script.joint_teachers(row) == pytest.approx(2.25)
    assert script.frozen_teachers(row) == pytest.approx(2.25)


def test_repeated_rows_appear_once(script):
    table = script.render_table(["a", "b"], [["1", "2"], ["3", "4"], ["1", "2"]])
    assert table.splitlines() == ["| a | b |", "|---|---|", "| 1 | 2 |", "| 3 | 4 |"]

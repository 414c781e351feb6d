"""Claims about the cost of teachers follow from the raw rows, and can fail."""

import json
import statistics
import sys
from importlib import import_module
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SCRIPTS = ("cached_targets", "joint_teachers", "whole_cost")


@pytest.fixture
def claims(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield lambda script, rows: import_module(script).claims(rows)
    for name in (*SCRIPTS, "trainings", "common"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("script", SCRIPTS)
def test_committed_claims_follow_from_the_committed_rows(claims, script):
    file = BENCHMARKS / "results" / f"{script}.json"
    if not file.is_file():
        pytest.skip("not measured yet")
    document = json.loads(file.read_text())
    found = claims(script, document["rows"])
    assert [vars(claim) for claim in found] == document["claims"]


@pytest.mark.parametrize(("factor", "holds"), [(1.04, True), (1.06, False)])
def test_a_slow_student_is_told(claims, factor, holds):
    rows = [{"plain s": s, "cached s": factor * s, "live s": 4 * s} for s in (1.0, 2.0, 3.0)]
    rows.append({"plain s": 1.0, "cached s": 9.0, "live s": 4.0})  # one pair of bad luck
    first, second = claims("cached_targets", rows)
    assert first.holds is holds and first.value == pytest.approx(
        statistics.median([factor, factor, factor, 9])
    )
    assert second.value == pytest.approx(4)


@pytest.mark.parametrize(("joint", "equal"), [(1.0, True), (1.2, True), (1.0, False)])
def test_slow_or_unequal_branches_are_told(claims, joint, equal):
    row = {"teachers": 5, "one s": 2.0, "joint s": 2 * joint, "equal": equal}
    cost, same = claims("joint_teachers", [row])
    assert cost.holds is (joint <= 1.1) and same.holds is equal


def test_the_whole_is_the_sum_of_its_parts(claims):
    row = {"teachers": 10, "baseline s": 10.0, "teachers s": 4.0, "student s": 11.0}
    row |= {"plain epoch s": 1.0, "slow teachers s": 10.0, "slow student s": 4.1}
    without, with_baseline, slow = claims("whole_cost", [row])
    assert [c.value for c in (without, with_baseline, slow)] == pytest.approx([1.5, 2.5, 14.1])
    assert without.holds and with_baseline.holds and slow.holds
    dear = claims("whole_cost", [row | {"student s": 22.0}])
    assert [claim.holds for claim in dear] == [False, False, True]

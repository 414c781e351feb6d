"""Claims about the cost of teachers follow from the raw rows, and can fail."""

import json
import statistics
import sys
from importlib import import_module
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SCRIPTS = ("cached_targets", "joint_teachers", "whole_cost")
GPU = "gpu_throughput"


@pytest.fixture
def claims(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield lambda script, rows: import_module(script).claims(rows)
    for name in (*SCRIPTS, GPU, "trainings", "common"):
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
def test_claim_on_cached_targets_holds_up_to_its_goal(claims, factor, holds):
    rows = [{"plain s": s, "cached s": factor * s, "live s": 4 * s} for s in (1.0, 2.0, 3.0)]
    rows.append({"plain s": 1.0, "cached s": 9.0, "live s": 4.0})  # an outlier: the median counts
    first, second = claims("cached_targets", rows)
    assert first.holds is holds and first.value == pytest.approx(
        statistics.median([factor, factor, factor, 9])
    )
    assert second.value == pytest.approx(4)


@pytest.mark.parametrize(
    ("learned", "frozen", "equal"),
    [(1.4, 1.0, True), (1.6, 1.0, True), (1.4, 1.2, True), (1.4, 1.0, False)],
)
def test_claims_on_branches_fail_where_they_are_slow_or_unequal(claims, learned, frozen, equal):
    times = {"one s": 2.0, "learned s": 2 * learned, "frozen s": 2 * frozen}
    found = claims("joint_teachers", [{"teachers": 5, **times, "equal": equal}])
    assert [claim.holds for claim in found] == [learned <= 1.5, frozen <= 1.1, equal]
    assert [claim.value for claim in found] == pytest.approx([learned, frozen, float(equal)])


def test_entire_cost_is_the_sum_of_its_parts(claims):
    row = {"teachers": 10, "baseline s": 10.0, "joint s": 13.0, "frozen s": 4.0}
    row |= {"student s": 11.0, "plain epoch s": 1.0, "slow teachers s": 10.0, "slow student s": 4.1}
    found = claims("whole_cost", [row])
    assert [claim.value for claim in found] == pytest.approx([2.4, 1.5, 2.5, 14.1])
    assert all(claim.holds for claim in found)
    dear = claims("whole_cost", [row | {"student s": 12.5}])
    assert [claim.holds for claim in dear] == [False, True, False, True]


def test_gpu_claims_compare_each_side_with_timm(claims):
    row = {"timm s": 6.0, "baseline s": 4.0, "joint teachers s": 5.2, "student s": 5.0}
    row |= {"peak share": 0.4, "device": "a card"}
    found = import_module(GPU).check_claims([row])
    assert [claim.value for claim in found] == pytest.approx([6 / 4, 6 / 5.2, 6 / 5, 0.4])
    assert [claim.holds for claim in found] == [True, False, True, True]
    assert {claim.device for claim in found} == {"a card"}

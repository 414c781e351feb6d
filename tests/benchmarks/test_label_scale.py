import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
RESULTS = BENCHMARKS / "results" / "label_scale.json"


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(BENCHMARKS))
    import label_scale

    yield label_scale
    sys.path.remove(str(BENCHMARKS))


def row(work, labels, seconds, images=10_000_000, seed=0, peak=900):
    return {
        "work": work,
        "images": images,
        "labels": labels,
        "seed": seed,
        "seconds": seconds,
        "peak MB": peak,
    }


def test_a_claim_uses_the_worst_row(script):
    rows = [row("cgp", 1_000, 0.5), row("cgp", 1_000, 1.5, seed=1), row("dgp", 10_000, 80.0)]
    claims = {claim.name: claim for claim in script.check_claims(rows)}
    assert [(c.value, c.holds, c.seeds) for c in claims.values()] == [
        (1.5, False, [0, 1]),
        (80.0, True, [0]),
    ]


def test_claims_about_counting_depend_on_the_number_of_images(script):
    slow, smaller = row("count", 10_000, 16.0), row("count", 10_000, 99.0, images=1_000)
    assert [c.holds for c in script.check_claims([slow, smaller])] == [False, True]
    assert script.check_claims([row("count unknown", 10_000, 99.0), smaller]) == []


def test_every_row_and_goal_is_drawn(script, tmp_path):
    rows = [row(work, 10 * size, size, peak=size) for work in script.MARKERS for size in (1, 100)]
    script.draw(rows, tmp_path / "rows.svg")
    drawn = (tmp_path / "rows.svg").read_text()
    assert all(f">{text}<" in drawn for text in (*script.MARKERS, *script.FIGURES.values()))


@pytest.mark.parametrize("unknown", [False, True])
def test_generated_states_have_the_expected_values_and_density(script, unknown):
    states = script.draw_states(np.random.default_rng(0), 400, 60, unknown)
    assert states.shape == (400, 60) and states.dtype == np.int8
    assert set(states.data.tolist()) == ({-1, 1} if unknown else {1})
    assert states.has_canonical_format
    assert 3 < (states == 1).sum() / 400 < 6  # labels an image, whatever is unknown


@pytest.mark.skipif(not RESULTS.is_file(), reason="no committed result of label_scale")
def test_committed_claims_follow_from_the_committed_rows(script):
    kept = json.loads(RESULTS.read_text())
    assert [asdict(claim) for claim in script.check_claims(kept["rows"])] == kept["claims"]

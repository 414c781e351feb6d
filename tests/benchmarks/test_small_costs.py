"""What the benchmarks of loss, metrics, loading and start-up claim follows from their rows."""

import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SCRIPTS = (
    "asymmetric_loss",
    "metrics",
    "data_loading",
    "startup",
    "gpu_throughput",
    "image_stores",
)
STUDY = (
    "image_stores_study",
    *(f"image_stores_study.{x}" for x in ("codecs", "formats", "memory")),
)


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module
    for name in (*SCRIPTS, *STUDY, "common", "trainings"):  # so that other tests import their own
        sys.modules.pop(name, None)


def holds(claims):
    return [claim.holds for claim in claims]


def test_the_median_pair_decides_on_the_loss(script):
    def row(ours, what="time", size="256 x 80", reference=1.0, way="compiled"):
        about = {"loss": "asymmetric", "what": what, "size": size, "way": way}
        return {**about, "ours": ours, "reference": reference}

    check_claims = script("asymmetric_loss").check_claims
    assert holds(check_claims([row(0.9), row(9.0), row(1.0)])) == [True]
    assert holds(
        check_claims([row(1.1), row(0.1), row(1.2), row(2e-6, "gradient", "float32", 1e-6)])
    ) == [
        False,
        False,
    ]
    eager = row(2.0, way="eager")
    assert holds(check_claims([eager])) == [False]
    assert holds(check_claims([eager, row(0.9), row(2.0, size="32 x 80")])) == [True, True, True]


def test_the_loss_has_the_gradient_of_the_formula(script):
    loss = script("asymmetric_loss")
    for name in loss.PRECISION:
        for kind, build in loss.KINDS.items():
            row = loss.gradient_row(name, kind, "eager", build())
            assert row["ours"] <= row["reference"], row


def test_metrics_must_be_fast_and_right(script):
    metrics = script("metrics")
    row = metrics.measure("tied", 300, 6, seed=0)
    fixed = {"ours s": 1.0, "scikit-learn s": 4.9, "torchmetrics s": 8.0}
    assert holds(metrics.check_claims([row | fixed])) == [False, True, True, True]
    wrong = row | fixed | {"scikit-learn gap": 1e-3}
    assert holds(metrics.check_claims([wrong])) == [False, False, True, True]


def test_loading_is_compared_by_pairs(script):
    check_claims = script("data_loading").check_claims
    row = {"bare s": 1.0, "loop s": 1.04, "store s": 1.0, "jpegs s": 2.9}
    assert holds(check_claims([row])) == [True, False]
    assert holds(check_claims([row | {"loop s": 1.06, "jpegs s": 3.1}])) == [False, True]


def test_start_up_is_what_is_added(script):
    def row(command, ours, imports):
        return {"command": command, "ours s": ours, "bare s": 1.0, "imports": imports}

    rows = [row("registry list", 1.4, ""), row("up-to-date run", 1.6, "torch mlflow")]
    assert holds(script("startup").check_claims(rows)) == [True, True, False, False]


def test_stores_must_agree_and_their_memory_stay_flat(script):
    def store(name, share=0.4, same=True):
        figures = {"of pixels": share, "views/s a core": 9.0, "same pixels": same}
        return {"table": "stores", "name": name, **figures}

    def memory(images, own, name="encoded"):
        return {"table": "memory", "name": name, "images": images, "own MB": own}

    check_claims = script("image_stores").check_claims
    rows = [store("pixels", 1.0), store("encoded"), store("files")]
    bits = {"table": "formats", "name": "mlic", "silent of 40 changed bits": 1}
    assert holds(check_claims([*rows, bits]))[-1] is False
    flat = [memory(10, 100.0), memory(1000, 104.9), memory(10, 1.0, "pixels")]
    assert all(holds(check_claims([*rows, *flat])))
    assert holds(check_claims([*rows, memory(10, 100.0), memory(1000, 106.0)]))[-1] is False
    wrong = [store("pixels", 1.0), store("encoded", 0.6), store("files", same=False)]
    assert holds(check_claims(wrong))[:3] == [True, False, False]


def test_without_a_gpu_nothing_is_claimed(script, monkeypatch):
    gpu = script("gpu_throughput")
    monkeypatch.setattr(sys, "argv", ["gpu_throughput.py"])
    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="not run"):
        gpu.main()


@pytest.mark.parametrize("name", SCRIPTS)
def test_committed_claims_follow_from_committed_rows(script, name):
    results = BENCHMARKS / "results" / f"{name}.json"
    if not results.is_file():
        pytest.skip(f"no committed result of {name}")
    kept = json.loads(results.read_text())
    assert [asdict(claim) for claim in script(name).check_claims(kept["rows"])] == kept["claims"]

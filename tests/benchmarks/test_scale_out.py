"""The cost model of large runs, against sums by hand."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def model(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from scale_study import model

    yield model
    for name in [name for name in sys.modules if name.startswith("scale_study")]:
        del sys.modules[name]


@pytest.fixture
def run(model):
    return model.Run(
        images=6000, labels=50, epochs=3, views=2, parts=3, stored=1000, logit=2, strategies=2
    )


@pytest.fixture
def machine(model):
    return model.Machine(
        trained=10, predicted=30, decoded=20, viewed=1e9, joined=1e5, read=1e12, devices=2, cores=5
    )


def test_stages_are_those_computed_by_hand(model, run, machine):
    stages = {one.name: one for one in model.predict_stages(run, machine, machines=4)}
    assert stages["decoding"].seconds == 6000 / (20 * 5)
    assert stages["baseline"].seconds == stages["student"].seconds == 3 * 6000 / (10 * 2)
    # six teachers on four machines are two rounds; one device predicts 12,000 views
    assert stages["teachers"].seconds == 2 * (900 + 400)
    logits = 2 * 2 * 6000 * 50 * 2
    assert stages["teachers"].written == stages["joining"].written == 2 * logits
    assert stages["joining"].seconds == 2 * logits / 1e5  # one core reads and writes them
    assert all(one.binds == "accelerators" for name, one in stages.items() if name[0] in "bt")


def test_the_slowest_part_binds(model, run, machine):
    slow_disk, few_cores = replace(machine, read=1e4), replace(machine, viewed=1.0)
    disk, cores = (
        {one.name: one for one in model.predict_stages(run, each, machines=4)}
        for each in (slow_disk, few_cores)
    )
    assert disk["baseline"].binds == "moving" and disk["baseline"].seconds == 3 * 6000 * 1000 / 1e4
    assert cores["student"].binds == "cores" and cores["student"].seconds == 3 * 6000 / 5


@pytest.mark.parametrize("field", ["images", "labels", "epochs", "views", "parts", "logit"])
def test_more_work_never_takes_less(model, run, machine, field):
    larger = replace(run, **{field: 2 * getattr(run, field)})
    pairs = zip(
        model.predict_stages(run, machine, 2), model.predict_stages(larger, machine, 2), strict=True
    )
    assert all(a.seconds <= b.seconds and a.written <= b.written for a, b in pairs)


def test_every_teacher_costs_a_node(model, run, machine):
    free, dear = (model.predict_teachers(run, machine, node) for node in (0, 5))
    assert free == 6 * (900 + 400) and dear == free + 6 * 5

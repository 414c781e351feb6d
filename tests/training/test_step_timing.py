"""Timed steps are steps of a training, and slow ones are timed once."""

from types import SimpleNamespace

import pytest
import torch
from timm.utils import ModelEmaV3

from mlic.errors import CheckpointError
from mlic.models.options import BranchedModelOptions, ModelOptions
from mlic.training.step_timing import _time_growing_steps, measure_step


@pytest.fixture
def model(settings):
    return settings["model"]


@pytest.fixture
def training(settings):
    return settings["training"]


def test_slow_step_is_timed_once(model, training, monkeypatch):
    times = iter([0.0, 3.0])
    clock = SimpleNamespace(perf_counter=lambda: next(times))
    monkeypatch.setattr("mlic.training.step_timing.time", clock)
    seconds, _ = measure_step(model, training, 32, 4)
    assert seconds == 3.0 / 2  # the first step has two images


@pytest.mark.parametrize(
    ("seconds_an_image", "expected"),
    [(0.001, [2, 4, 8, 16, *[32] * 8]), (0.06, [2, 4, 8, 16]), (0.2, [2, 4]), (3.0, [2])],
)
def test_steps_grow_while_two_seconds_last(seconds_an_image, expected):
    numbers = []

    def step(number):
        numbers.append(number)
        return number * seconds_an_image

    assert _time_growing_steps(step, 32) == pytest.approx(seconds_an_image)
    assert numbers == expected


def test_missing_weights_are_an_error_before_anything_is_timed(model, training, tmp_path):
    options = model.model_copy(update={"weights": str(tmp_path / "absent.safetensors")})
    with pytest.raises(CheckpointError):
        measure_step(options, training, 32, 4)


def test_timed_step_updates_weights_and_their_average(model, training, monkeypatch):
    done = []
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *_a, **_k: done.append("optimiser"))
    monkeypatch.setattr(ModelEmaV3, "update", lambda *_a, **_k: done.append("average"))
    measure_step(model, training, 32, 4)
    assert 2 < len(done) <= 20 and done == ["optimiser", "average"] * (len(done) // 2)


def test_branches_on_one_trunk_can_be_timed(model, training):
    branched = BranchedModelOptions(**model.model_dump(), branch={"width": 4})
    seconds, weights = measure_step(branched, training, 32, 2, num_branches=3)
    one, fewer = measure_step(branched, training, 32, 2)
    assert seconds > 0 and one > 0 and weights > fewer


def test_head_that_needs_counts_of_the_labels_is_timed_without_them(training):
    model = ModelOptions(backbone="test_resnet", head="graph_cosine")
    seconds, parameters = measure_step(model, training, 32, 5)
    assert seconds > 0 and parameters > 0

"""Sharpness-aware minimisation: the gradient at the worst point nearby; nothing else changes."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from mlic.training.options import TrainingOptions
from mlic.training.sharpness import sharpen_gradient
from mlic.training.train import make_task, train


class Bowl(nn.Module):
    """Half of Σ aᵢ wᵢ², whose gradient is known everywhere."""

    def __init__(self, steepness, start):
        super().__init__()
        self.steepness = torch.tensor(steepness)
        self.weight = nn.Parameter(torch.tensor(start))

    def backward(self):
        (0.5 * (self.steepness * self.weight**2).sum()).backward()


def test_gradient_is_that_of_the_worst_point_nearby():
    bowl = Bowl([1.0, 4.0], [3.0, 1.0])
    bowl.backward()
    gradient = torch.tensor([3.0, 4.0])  # of length 5
    sharpen_gradient(bowl, 0.5, bowl.backward)
    expected = bowl.steepness * (torch.tensor([3.0, 1.0]) + 0.5 * gradient / 5)
    torch.testing.assert_close(bowl.weight.grad, expected)
    assert bowl.weight.tolist() == [3.0, 1.0]


def test_weights_are_restored_to_the_bit_if_the_second_pass_overflows_or_fails():
    start = torch.randn(50, generator=torch.Generator().manual_seed(0)).tolist()
    bowl = Bowl([1.0] * 50, start)
    before = bowl.weight.detach().clone()

    def overflow():
        (bowl.weight * 1e30 * 1e30).sum().backward()

    def fail():
        raise RuntimeError

    bowl.backward()
    sharpen_gradient(bowl, 0.05, overflow)
    assert torch.equal(bowl.weight, before) and not bowl.weight.grad.isfinite().all()
    bowl.zero_grad()
    bowl.backward()
    with pytest.raises(RuntimeError):
        sharpen_gradient(bowl, 0.05, fail)
    assert torch.equal(bowl.weight, before)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 0.0])
def test_gradient_without_a_direction_is_left_to_the_scaler(value):
    bowl = Bowl([1.0], [2.0])
    bowl.weight.grad = torch.tensor([value])
    sharpen_gradient(bowl, 0.05, lambda: pytest.fail("there is no worst point"))
    assert bowl.weight.tolist() == [2.0]


def test_batch_norms_count_a_batch_once():
    images = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))

    def backward():
        model(images).square().mean().backward()

    backward()
    once = {name: value.clone() for name, value in model.state_dict().items()}
    sharpen_gradient(model, 0.5, backward)
    for name, value in model.state_dict().items():
        assert torch.equal(value, once[name]), name
    assert model[0].momentum == 0.1 and model[0].num_batches_tracked == 1


def test_training_with_it_learns_something_else(make_job):
    plain, sharp = (
        train(make_task(make_job(sharpness_radius=radius)))[0].weights for radius in (0.0, 0.5)
    )
    assert all(np.isfinite(value).all() for value in sharp.values())
    assert any(not np.array_equal(plain[name], sharp[name]) for name in plain)


def test_accumulated_batches_are_refused():
    with pytest.raises(ValidationError):
        TrainingOptions(
            epochs=1, batch_size=2, learning_rate=0.1, accumulation=2, sharpness_radius=0.05
        )

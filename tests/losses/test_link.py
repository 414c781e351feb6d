"""The linked probability is the one at which the expected gradient of the loss is zero."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlic.errors import ParameterError
from mlic.losses._link import LOWEST, TabulatedLink
from mlic.losses.angular_asymmetric import AngularAsymmetricLoss
from mlic.losses.asymmetric import AsymmetricLoss
from mlic.losses.base import Loss
from mlic.losses.binary_cross_entropy import BinaryCrossEntropy

LOSSES = [
    BinaryCrossEntropy(),
    AsymmetricLoss(),
    AsymmetricLoss(focusing_gradient=True),
    AsymmetricLoss(2, 1, 0.0),
    AsymmetricLoss(2, 2, 0.0, focusing_gradient=True),  # focal loss
    AsymmetricLoss(0, 0, 0.1),
    AsymmetricLoss(3, 0.5, 0.2, focusing_gradient=True),
    AsymmetricLoss(0.5, 0, 0.05),  # so flat in p_m that the link falls to −∞ almost vertically
    AsymmetricLoss(0.01, 0, 0.05, focusing_gradient=True),
    AngularAsymmetricLoss(23.0),
    AngularAsymmetricLoss(17.0, margin=0.2, positive_weight=0.6),
]
PRODUCT = AngularAsymmetricLoss(7.0, gamma_negative=1.0, divide_by_scale=False)
GRID = torch.linspace(-40, 40, 8001, dtype=torch.float64)


class SquaredHinge(Loss):
    """A loss without a closed form of its link."""

    def __call__(self, logits, states):
        margin = (1 - logits * (2 * states - 1)).clamp(min=0)
        return margin**2 * (states >= 0)


class Periodic(Loss):
    """A loss whose logits mean nothing."""

    def __call__(self, logits, states):
        return (logits * (2 * states - 1)).cos() + 2


def slopes_of(loss, logits):
    """Derivative of a loss's link at each logit."""
    point = logits.detach().clone().requires_grad_()
    return torch.autograd.grad(loss.link(point).sum(), point)[0]


@pytest.mark.parametrize("loss", LOSSES)
@given(z=st.floats(-10, 8))
def test_expected_gradient_is_zero_at_the_linked_probability(loss, z):
    logit = torch.tensor([[z]], requires_grad=True)
    odds = loss.link(logit.detach())
    if odds.item() <= LOWEST or slopes_of(loss, logit) > 29:
        return  # the tail is a convention, not a property of the loss
    slopes = [
        torch.autograd.grad(loss(logit, torch.tensor([[y]])).sum(), logit)[0].double()
        for y in (1, 0)
    ]
    q = odds.double().sigmoid()
    scale = q * slopes[0].abs() + (1 - q) * slopes[1].abs()
    assert abs(q * slopes[0] + (1 - q) * slopes[1]) <= 2e-3 * scale


@pytest.mark.parametrize("loss", [*LOSSES, BinaryCrossEntropy(0.1), SquaredHinge(), PRODUCT])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_link_is_finite_and_never_decreases(loss, dtype):
    odds = loss.link(GRID.to(dtype))
    assert odds.dtype == dtype
    assert odds.isfinite().all()
    assert (odds.diff() >= -2e-6 * odds[1:].abs().clamp(min=1)).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_link_orders_the_logits_strictly_in_float64(loss):
    middle = GRID[(GRID > -35) & (GRID < 30)]
    assert (loss.link(middle).diff() > 0).all()


@pytest.mark.parametrize("loss", LOSSES[1:])
def test_table_of_gradients_equals_the_closed_form(loss):
    middle = GRID[(GRID > -6) & (GRID < 9)]
    expected = loss.link(middle)
    above = (expected > LOWEST) & (slopes_of(loss, middle) < 8)  # steeper, a table is coarse
    torch.testing.assert_close(
        TabulatedLink(loss)(middle)[above], expected[above], atol=0.02, rtol=0
    )


def test_binary_cross_entropy_has_nothing_to_undo():
    assert torch.equal(BinaryCrossEntropy().link(GRID), GRID)


def test_smoothed_labels_are_undone():
    # the smoothed target of a label that is always present is .95
    q = torch.tensor([0.2, 0.7], dtype=torch.float64)
    settled = (0.9 * q + 0.05).logit()
    linked = BinaryCrossEntropy(0.1).link(settled)
    torch.testing.assert_close(linked.sigmoid(), q, atol=1e-3, rtol=0)


def test_squared_hinge_means_a_linear_probability():
    # q minimises q (1 − z)² + (1 − q)(1 + z)² where z = 2 q − 1
    linked = SquaredHinge().link(torch.tensor([-0.5, 0.0, 0.8]))
    torch.testing.assert_close(linked.sigmoid(), torch.tensor([0.25, 0.5, 0.9]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("loss", LOSSES)
def test_link_has_finite_gradients(loss):
    slopes = slopes_of(loss, torch.linspace(-60, 60, 2001))
    assert slopes.isfinite().all()
    assert (slopes >= 0).all()
    assert slopes.max() <= 31


@pytest.mark.parametrize("gamma", [0, 1e-9, 0.1, 0.5, 4])
def test_link_with_a_margin_has_no_jump(gamma):
    fine = torch.linspace(-3.3, -2.3, 200_001, dtype=torch.float64)  # log-odds of .05: −2.94
    assert AsymmetricLoss(gamma, 0, 0.05).link(fine).diff().max() < 3e-4


def test_loss_without_an_order_has_no_link():
    with pytest.raises(ParameterError) as raised:
        Periodic().link(torch.zeros(1))
    assert raised.value.fields["name"] == "Periodic"

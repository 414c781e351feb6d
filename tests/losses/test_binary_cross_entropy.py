"""Binary cross-entropy equals the negative log-likelihood of Bernoulli variables."""

import pytest
import torch
from torch.distributions import Bernoulli

from mlic.errors import ParameterError
from mlic.losses.binary_cross_entropy import BinaryCrossEntropy

LOGITS = torch.linspace(-20, 20, 60).view(3, 20)
STATES = (torch.arange(60) % 3 - 1).view(3, 20)


def test_loss_is_the_negative_log_likelihood_of_bernoulli_variables():
    truth = STATES.clamp(min=0).double()
    expected = -Bernoulli(logits=LOGITS.double()).log_prob(truth) * (STATES >= 0)
    loss = BinaryCrossEntropy()(LOGITS, STATES)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)


def test_smoothing_moves_both_targets_by_half():
    loss = BinaryCrossEntropy(smoothing=0.2)
    z = torch.logit(torch.tensor([[0.9, 0.1]])).requires_grad_()
    loss(z, torch.tensor([[1, 0]])).sum().backward()
    torch.testing.assert_close(z.grad, torch.zeros(1, 2))  # 0.9 and 0.1 are the targets


def test_unknown_states_contribute_nothing():
    z = LOGITS.clone().requires_grad_()
    BinaryCrossEntropy()(z, STATES).sum().backward()
    assert not z.grad[STATES < 0].any() and z.grad[STATES >= 0].any()


def test_smoothing_out_of_range_is_refused():
    with pytest.raises(ParameterError, match=r"smoothing=1"):
        BinaryCrossEntropy(1.0)

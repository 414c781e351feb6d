"""The asymmetric loss equals the published formula, computed in float64."""

from functools import partial

import pytest
import torch

from mlic.errors import ParameterError
from mlic.losses.asymmetric import AsymmetricLoss

CASES = [(4, 0, 0.05), (4, 0, 0.0), (2, 1, 0.05), (3, 2.5, 0.0), (0, 0, 0.0), (0, 0, 0.2)]
Z = torch.cat([torch.linspace(-100, 100, 201), torch.linspace(-6, 6, 97)])
LOGITS = torch.stack([Z, Z, Z])
STATES = torch.tensor([1, 0, -1])[:, None].expand_as(LOGITS)


def reference(logits, states, gamma_negative, gamma_positive, clip):
    """Values and gradients of equations 4 to 7 in float64; weights are constants."""
    z = logits.double().requires_grad_()
    log_p, log_q = -torch.logaddexp(-z, z * 0), -torch.logaddexp(z, z * 0)
    p = torch.exp(log_p)
    p_m = (p - clip).clamp(min=0)
    positive = -torch.exp(log_q * gamma_positive).detach() * log_p
    log_rest = torch.log(1 - p_m) if clip else log_q
    negative = -(p_m**gamma_negative).detach() * log_rest
    loss = torch.where(states == 1, positive, negative) * (states >= 0)
    return loss.detach(), torch.autograd.grad(loss.sum(), z)[0]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_values_and_gradients_equal_the_formula(case, dtype):
    logits = LOGITS.clone().to(dtype).requires_grad_()
    loss = AsymmetricLoss(*case)(logits, STATES)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    values, slopes = reference(logits.detach(), STATES, *case)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), values, rtol=1e-5, atol=2e-6)
    # a gradient has the dtype of the logits
    coarse = {torch.float32: 1e-4, torch.bfloat16: 8e-3, torch.float16: 1e-3}[dtype]
    torch.testing.assert_close(gradient.double(), slopes, rtol=coarse, atol=5e-6)


@pytest.mark.parametrize("case", CASES)
def test_gradient_through_the_focusing_weights_equals_autograd(case):
    inside = LOGITS[:, LOGITS[0].abs() < 15].clone().requires_grad_()  # float64 has no bound
    states = STATES[:, : inside.shape[1]]
    (slopes,) = torch.autograd.grad(
        AsymmetricLoss(*case, focusing_gradient=True)(inside, states).sum(), inside
    )
    z = inside.detach().double().requires_grad_()
    p = z.sigmoid()
    p_m = (p - case[2]).clamp(min=0)
    positive = -((1 - p) ** case[1]) * p.log()
    negative = -(p_m ** case[0]) * (1 - p_m).log()
    loss = torch.where(states == 1, positive, negative) * (states >= 0)
    (expected,) = torch.autograd.grad(loss.sum(), z)
    torch.testing.assert_close(slopes.double(), expected, rtol=2e-4, atol=5e-6)


def test_focusing_weights_have_no_gradient():
    z = torch.tensor([[0.3]], requires_grad=True)
    AsymmetricLoss(gamma_negative=4, clip=0.0)(z, torch.tensor([[0]])).backward()
    p = torch.sigmoid(z.detach())
    torch.testing.assert_close(z.grad, p**4 * p)  # d softplus(z) / dz = p


def test_confidently_missed_positive_has_its_full_gradient():
    z = torch.tensor([[-100.0]], requires_grad=True)
    AsymmetricLoss()(z, torch.tensor([[1]])).backward()
    assert z.grad.item() == -1


def test_unknown_states_contribute_nothing():
    logits = LOGITS.clone().requires_grad_()
    loss = AsymmetricLoss(2, 1, 0.0)(logits, torch.full_like(LOGITS, -1))
    loss.sum().backward()
    assert not loss.any() and not logits.grad.any()


def test_easy_negatives_have_no_loss():
    z = torch.logit(torch.tensor([[0.049, 0.051]]))
    easy, hard = AsymmetricLoss(gamma_negative=1)(z, torch.zeros(1, 2))[0]
    assert easy == 0 < hard


@pytest.mark.parametrize("wrong", [{"clip": 1.0}, {"clip": -0.1}, {"gamma_negative": -1}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ParameterError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
        AsymmetricLoss(**wrong)


def terms_and_gradient(loss, logits):
    logits = logits.clone().requires_grad_()
    terms = loss(logits, STATES.to(torch.int8))
    return terms, *torch.autograd.grad(terms.sum(), logits)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("block", [7, 400])
def test_size_of_blocks_does_not_matter(case, block, monkeypatch):
    loss = AsymmetricLoss(*case)
    expected = terms_and_gradient(loss, LOGITS)
    monkeypatch.setattr("mlic.losses._fused._BLOCK", block)
    # vectorised and single terms may differ in the last bit
    torch.testing.assert_close(terms_and_gradient(loss, LOGITS), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_compiled_loss_equals_the_eager_one(dtype, monkeypatch):
    """The graph is traced but not compiled to machine code, which would take too long."""
    graphs = []

    def trace(graph, inputs):
        graphs.append(graph)
        return graph

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=trace, fullgraph=True))
    compiled = AsymmetricLoss()
    compiled.compile()
    expected = terms_and_gradient(AsymmetricLoss(), LOGITS.to(dtype))
    torch.testing.assert_close(terms_and_gradient(compiled, LOGITS.to(dtype)), expected)
    assert len(graphs) == 1


def test_gradient_is_scaled_by_the_incoming_gradient():
    logits, scale = LOGITS.clone().requires_grad_(), torch.rand_like(LOGITS)
    (AsymmetricLoss()(logits, STATES) * scale).sum().backward()
    _, slopes = terms_and_gradient(AsymmetricLoss(), LOGITS)
    torch.testing.assert_close(logits.grad, slopes * scale)


def test_columns_of_a_wider_matrix_give_their_own_loss():
    logits, states = LOGITS.clone().requires_grad_(), STATES
    part = AsymmetricLoss()(logits.split([100, 198], 1)[1], states[:, 100:])
    part.sum().backward()
    (slopes,) = terms_and_gradient(AsymmetricLoss(), LOGITS)[1:]
    torch.testing.assert_close(logits.grad[:, 100:], slopes[:, 100:])
    assert not logits.grad[:, :100].any()


@pytest.mark.parametrize("logit", [float("nan"), float("inf"), float("-inf")])
def test_logits_that_are_not_finite_are_not_hidden(logit):
    wrong = 0 if logit > 0 else 1
    loss = AsymmetricLoss(clip=0.0)(torch.tensor([[logit]]), torch.tensor([[wrong]]))
    assert not loss.isfinite().all()


def test_empty_batch_has_no_terms():
    assert AsymmetricLoss()(torch.zeros(0, 3), torch.zeros(0, 3)).shape == (0, 3)

"""The asymmetric loss against the published formula, written out in float64."""

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
def test_values_and_gradients_are_the_formulas(case, dtype):
    logits = LOGITS.clone().to(dtype).requires_grad_()
    loss = AsymmetricLoss(*case)(logits, STATES)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    values, slopes = reference(logits.detach(), STATES, *case)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), values, rtol=1e-5, atol=2e-6)
    # a gradient comes back in the type of the logits
    coarse = {torch.float32: 1e-4, torch.bfloat16: 8e-3, torch.float16: 1e-3}[dtype]
    torch.testing.assert_close(gradient.double(), slopes, rtol=coarse, atol=5e-6)


def test_focusing_weights_carry_no_gradient():
    z = torch.tensor([[0.3]], requires_grad=True)
    AsymmetricLoss(gamma_negative=4, clip=0.0)(z, torch.tensor([[0]])).backward()
    p = torch.sigmoid(z.detach())
    torch.testing.assert_close(z.grad, p**4 * p)  # d softplus(z) / dz = p


def test_a_confidently_missed_positive_keeps_its_gradient():
    z = torch.tensor([[-100.0]], requires_grad=True)
    AsymmetricLoss()(z, torch.tensor([[1]])).backward()
    assert z.grad.item() == -1


def test_unknown_cells_say_nothing():
    logits = LOGITS.clone().requires_grad_()
    loss = AsymmetricLoss(2, 1, 0.0)(logits, torch.full_like(LOGITS, -1))
    loss.sum().backward()
    assert not loss.any() and not logits.grad.any()


def test_easy_negatives_are_forgotten():
    z = torch.logit(torch.tensor([[0.049, 0.051]]))
    easy, hard = AsymmetricLoss(gamma_negative=1)(z, torch.zeros(1, 2))[0]
    assert easy == 0 < hard


@pytest.mark.parametrize("wrong", [{"clip": 1.0}, {"clip": -0.1}, {"gamma_negative": -1}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ParameterError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
        AsymmetricLoss(**wrong)


def cells_and_slopes(loss, logits):
    logits = logits.clone().requires_grad_()
    cells = loss(logits, STATES.to(torch.int8))
    return cells, *torch.autograd.grad(cells.sum(), logits)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("block", [7, 400])
def test_blocks_change_nothing(case, block, monkeypatch):
    loss = AsymmetricLoss(*case)
    whole = cells_and_slopes(loss, LOGITS)
    monkeypatch.setattr("mlic.losses.asymmetric._BLOCK", block)
    # vectorised and single cells may differ in the last bit
    torch.testing.assert_close(cells_and_slopes(loss, LOGITS), whole, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_compiled_it_is_the_same(dtype, monkeypatch):
    """Traced, but not made into machine code: for that a test has no time."""
    graphs = []

    def trace(graph, inputs):
        graphs.append(graph)
        return graph

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=trace, fullgraph=True))
    compiled = AsymmetricLoss()
    compiled.compile()
    whole = cells_and_slopes(AsymmetricLoss(), LOGITS.to(dtype))
    torch.testing.assert_close(cells_and_slopes(compiled, LOGITS.to(dtype)), whole)
    assert len(graphs) == 1


def test_what_comes_from_above_scales_the_gradient():
    logits, scale = LOGITS.clone().requires_grad_(), torch.rand_like(LOGITS)
    (AsymmetricLoss()(logits, STATES) * scale).sum().backward()
    _, slopes = cells_and_slopes(AsymmetricLoss(), LOGITS)
    torch.testing.assert_close(logits.grad, slopes * scale)


def test_columns_of_a_wider_matrix_are_taken_as_they_are():
    logits, states = LOGITS.clone().requires_grad_(), STATES
    part = AsymmetricLoss()(logits.split([100, 198], 1)[1], states[:, 100:])
    part.sum().backward()
    (slopes,) = cells_and_slopes(AsymmetricLoss(), LOGITS)[1:]
    torch.testing.assert_close(logits.grad[:, 100:], slopes[:, 100:])
    assert not logits.grad[:, :100].any()


@pytest.mark.parametrize("logit", [float("nan"), float("inf"), float("-inf")])
def test_a_logit_that_is_no_number_is_not_hidden(logit):
    wrong = 0 if logit > 0 else 1
    loss = AsymmetricLoss(clip=0.0)(torch.tensor([[logit]]), torch.tensor([[wrong]]))
    assert not loss.isfinite().all()


def test_no_image_no_loss():
    assert AsymmetricLoss()(torch.zeros(0, 3), torch.zeros(0, 3)).shape == (0, 3)

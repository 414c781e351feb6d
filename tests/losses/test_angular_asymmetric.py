"""The angular asymmetric loss equals its formula, and is finite where probabilities are not."""

from functools import partial

import pytest
import torch

from mlic.errors import ParameterError
from mlic.losses._scale import scale_for
from mlic.losses.angular_asymmetric import AngularAsymmetricLoss
from mlic.losses.binary_cross_entropy import BinaryCrossEntropy

# scale, margin, k, γ₊, γ₋, shift: COCO, the class's defaults, OTX's product loss, all at once
CASES = [
    (23.0, 0.0, 0.7, 0.0, 0.0, None),
    (30.0, 0.35, 0.8, 0.0, 0.0, None),
    (7.0, 0.0, 0.8, 0.0, 1.0, None),
    (17.0, 0.1, 0.6, 2.0, 1.5, 0.02),
]
COSINES = torch.linspace(-1, 1, 401, dtype=torch.float64)


def reference(cosines, targets, scale, margin, k, gamma_positive, gamma_negative, shift):
    """The formula as it is written, in float64."""
    present = torch.sigmoid(scale * (cosines - margin))
    absent = torch.sigmoid(-scale * (cosines + margin))
    if gamma_positive or gamma_negative:
        absent = (absent + (0.05 if shift is None else shift)).clamp(max=1)
    positive = k / scale * targets * absent**gamma_positive * present.log()
    negative = (1 - k) / scale * (1 - targets) * present**gamma_negative * absent.log()
    return -(positive + negative)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("target", [1.0, 0.0, 0.3])
def test_values_equal_the_formula_also_for_soft_targets(case, target):
    scale, margin, k, gamma_positive, gamma_negative, shift = case
    loss = AngularAsymmetricLoss(scale, margin, k, gamma_positive, gamma_negative, shift)
    targets = torch.full_like(COSINES, target)
    torch.testing.assert_close(loss(scale * COSINES, targets), reference(COSINES, targets, *case))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("target", [1.0, 0.0, 0.3])
def test_gradients_equal_those_of_the_formula(case, target):
    """The loss states its own derivative; autograd differentiates the formula."""
    cosines = COSINES.clone().requires_grad_()
    targets = torch.full_like(COSINES, target)
    (expected,) = torch.autograd.grad(reference(cosines, targets, *case).sum(), cosines)
    logits = (case[0] * COSINES).requires_grad_()
    (found,) = torch.autograd.grad(AngularAsymmetricLoss(*case)(logits, targets).sum(), logits)
    torch.testing.assert_close(case[0] * found, expected)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_values_and_gradients_are_finite_for_opposite_directions(case, dtype):
    scale, margin, k, gamma_positive, gamma_negative, shift = case
    loss = AngularAsymmetricLoss(scale, margin, k, gamma_positive, gamma_negative, shift)
    logits = (scale * torch.tensor([[-1.0, 1.0, -1.0, 1.0]])).to(dtype).requires_grad_()
    terms = loss(logits, torch.tensor([[1, 0, 0, 1]]))
    (gradient,) = torch.autograd.grad(terms.sum(), logits)
    assert terms.isfinite().all() and gradient.isfinite().all()
    assert (terms[0, :2] > 0.2 * min(k, 1 - k)).all()  # both are as wrong as they can be


def test_without_margin_and_focusing_it_is_scaled_cross_entropy():
    logits = torch.linspace(-30, 30, 200)[None]
    states = torch.tensor([[1, 0, -1, 1]]).repeat(1, 50)
    found = AngularAsymmetricLoss(scale=12.0, positive_weight=0.5)(logits, states)
    torch.testing.assert_close(found, BinaryCrossEntropy()(logits, states) / 24)


@pytest.mark.parametrize("scale", [1.0, 7.0, 60.0])
def test_gradient_of_the_cosine_is_bounded_by_the_weight(scale):
    for state, bound in ((1, 0.7), (0, 0.3)):
        cosines = COSINES.clone().requires_grad_()
        states = torch.full((1, len(COSINES)), state)
        loss = AngularAsymmetricLoss(scale, margin=0.2)((scale * cosines)[None], states)
        (gradient,) = torch.autograd.grad(loss.sum(), cosines)
        assert gradient.abs().max() <= bound + 1e-12


def test_unknown_states_have_no_term_and_no_gradient():
    logits = torch.randn(4, 3, requires_grad=True)
    terms = AngularAsymmetricLoss()(logits, torch.full((4, 3), -1))
    assert not terms.any()
    assert not torch.autograd.grad(terms.sum(), logits)[0].any()


def test_automatic_scale_is_that_of_the_number_of_labels():
    logits, states = torch.randn(2, 80), torch.randint(0, 2, (2, 80))
    fixed = AngularAsymmetricLoss(scale_for("auto", 80), margin=0.1)
    torch.testing.assert_close(
        AngularAsymmetricLoss(margin=0.1)(logits, states), fixed(logits, states)
    )
    assert scale_for("auto", 2) == 7 and scale_for("auto", 10**7) == 30


def test_product_loss_of_otx_is_a_set_of_options():
    cosines = torch.tensor([[0.3, -0.2]])
    loss = AngularAsymmetricLoss(
        scale=7.0, positive_weight=0.8, gamma_negative=1.0, divide_by_scale=False
    )
    p = torch.sigmoid(7 * cosines)
    absent = (1 - p + 0.05).clamp(max=1)
    expected = torch.stack([-0.8 * p[0, 0].log(), -0.2 * p[0, 1] * absent[0, 1].log()])
    torch.testing.assert_close(loss(7 * cosines, torch.tensor([[1, 0]]))[0], expected)


@pytest.mark.parametrize(
    "options",
    [
        {"scale": 0.0},
        {"scale": "big"},
        {"margin": -0.1},
        {"positive_weight": 1.0},
        {"gamma_positive": -1.0},
        {"shift": 1.0},
    ],
)
def test_options_out_of_range_are_one_error(options):
    with pytest.raises(ParameterError):
        AngularAsymmetricLoss(**options)


@pytest.mark.parametrize("case", CASES)
def test_compiled_loss_equals_the_eager_one(case, monkeypatch):
    """The graph is traced but not compiled to machine code, which would take too long."""
    scale, margin, k, gamma_positive, gamma_negative, shift = case
    graphs = []

    def trace(graph, inputs):
        graphs.append(graph)
        return graph

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=trace, fullgraph=True))
    options = scale, margin, k, gamma_positive, gamma_negative, shift
    compiled = AngularAsymmetricLoss(*options)
    compiled.compile()
    logits = (scale * COSINES).float()[None]
    states = torch.arange(len(COSINES))[None] % 3 - 1
    torch.testing.assert_close(
        compiled(logits, states), AngularAsymmetricLoss(*options)(logits, states)
    )
    assert len(graphs) == 1

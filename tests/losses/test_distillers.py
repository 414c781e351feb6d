"""Distillers equal torch.distributions and the formulas of their docstrings."""

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, kl_divergence

from mlic.errors import ParameterError
from mlic.losses.distillation.binary_kl import BinaryKL
from mlic.losses.distillation.class_softmax_kl import ClassSoftmaxKL
from mlic.losses.distillation.logit_mse import LogitMSE
from mlic.training.distillation_options import DISTILLERS
from mlic.utils.plugins import build_plugin, list_plugins


@pytest.fixture
def student():
    return (torch.randn(6, 5) * 6).requires_grad_()


@pytest.fixture
def teacher():
    return torch.randn(6, 5) * 6


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_binary_kl_is_the_divergence_of_bernoulli_variables(student, teacher, temperature):
    z, t = student.detach().double() / temperature, teacher.double() / temperature
    expected = temperature**2 * kl_divergence(Bernoulli(logits=t), Bernoulli(logits=z))
    terms = BinaryKL(temperature)(student, teacher)
    torch.testing.assert_close(terms.double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_gradient_of_binary_kl_is_the_difference_of_probabilities(student, teacher, temperature):
    BinaryKL(temperature)(student, teacher).sum().backward()
    gap = torch.sigmoid(student.detach() / temperature) - torch.sigmoid(teacher / temperature)
    torch.testing.assert_close(student.grad, temperature * gap, rtol=1e-4, atol=1e-6)


def test_binary_kl_and_its_gradient_are_finite_at_the_extremes():
    z = torch.tensor([[-100.0, 100.0]], requires_grad=True)
    terms = BinaryKL()(z, -z.detach())
    terms.sum().backward()
    torch.testing.assert_close(terms, torch.full((1, 2), 100.0))
    torch.testing.assert_close(z.grad, torch.tensor([[-1.0, 1.0]]))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_class_softmax_kl_is_the_divergence_of_categorical_variables(student, teacher, temperature):
    z, t = student.detach().double() / temperature, teacher.double() / temperature
    expected = temperature**2 * kl_divergence(Categorical(logits=t), Categorical(logits=z))
    terms = ClassSoftmaxKL(temperature)(student, teacher)
    torch.testing.assert_close(terms.sum(dim=1).double(), expected, rtol=1e-4, atol=1e-5)


def test_gradient_of_logit_mse_is_twice_the_difference(student, teacher):
    LogitMSE()(student, teacher).sum().backward()
    torch.testing.assert_close(student.grad, 2 * (student.detach() - teacher))


@pytest.mark.parametrize("name", list_plugins(DISTILLERS))
def test_every_distiller_is_zero_where_student_and_teacher_agree(name, teacher):
    distiller = build_plugin(DISTILLERS, name, {})
    same = teacher.clone().requires_grad_()
    terms = distiller(same, teacher)
    terms.sum().backward()
    assert terms.shape == teacher.shape and terms.dtype == torch.float32
    torch.testing.assert_close(terms, torch.zeros_like(terms), atol=1e-5, rtol=0)
    torch.testing.assert_close(same.grad, torch.zeros_like(terms), atol=1e-5, rtol=0)
    half = distiller(teacher.bfloat16(), teacher.bfloat16())
    assert half.dtype == torch.float32


@pytest.mark.parametrize("distiller", [BinaryKL, ClassSoftmaxKL])
@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan")])
def test_temperature_out_of_range_is_refused(distiller, wrong):
    with pytest.raises(ParameterError, match="temperature="):
        distiller(temperature=wrong)

"""The objective: weights, shares, reduction."""

import pytest
import torch

from mlic.losses.asymmetric import AsymmetricLoss
from mlic.training.objective import Objective
from mlic.training.options import DistillationOptions, TrainingOptions

STATES = torch.tensor([[1, 0, -1], [-1, 1, 0]])


@pytest.fixture
def logits():
    return torch.randn(2, 3)


@pytest.fixture
def targets():
    return {"cgp": torch.randn(2, 3), "dgp": torch.randn(2, 3)}


def objective(reduction="mean", **distillation):
    options = TrainingOptions(epochs=1, batch_size=2, learning_rate=1, reduction=reduction)
    soft = {"distiller": {"name": "logit_mse"}, **distillation}
    return Objective(options, DistillationOptions(**soft) if distillation else None)


def test_the_mean_is_over_known_cells(logits):
    cells = AsymmetricLoss()(logits, STATES)
    mean, terms = objective("mean")(logits, STATES)
    total, _ = objective("sum")(logits, STATES)
    torch.testing.assert_close(mean, cells.sum() / 4)
    torch.testing.assert_close(total, cells.sum())
    assert list(terms) == ["hard"]


def test_nothing_known_is_nothing_to_learn(logits):
    logits.requires_grad_()
    loss, _ = objective()(logits, torch.full_like(STATES, -1))
    loss.backward()
    assert loss == 0 and not logits.grad.any()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_weights_and_shares_are_the_formula(logits, targets, reduction):
    shares = {"cgp": 0.75, "dgp": 0.25}
    build = objective(reduction, hard_weight=0.4, soft_weight=2.0, shares=shares)
    loss, terms = build(logits, STATES, targets)
    number = {"mean": 6, "sum": 1}[reduction]  # teachers have a word on unknown labels too
    cgp, dgp = (((logits - targets[s]) ** 2).sum() / number for s in ("cgp", "dgp"))
    hard, _ = objective(reduction)(logits, STATES)
    torch.testing.assert_close(loss, 0.4 * hard + 2.0 * (0.75 * cgp + 0.25 * dgp))
    torch.testing.assert_close(terms["cgp"], cgp)
    assert set(terms) == {"hard", "cgp", "dgp"}


def test_equal_shares_are_psds_weights(logits, targets):
    """0.5 on the truth and 0.25 on each kind of teachers, as published."""
    loss, terms = objective(hard_weight=0.5, soft_weight=0.5)(logits, STATES, targets)
    expected = 0.5 * terms["hard"] + 0.25 * terms["cgp"] + 0.25 * terms["dgp"]
    torch.testing.assert_close(loss, expected)


def test_one_strategy_takes_the_whole_soft_weight(logits, targets):
    loss, terms = objective(hard_weight=0.0, soft_weight=0.5)(
        logits, STATES, {"cgp": targets["cgp"]}
    )
    torch.testing.assert_close(loss, 0.5 * terms["cgp"])


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_psds_alpha_is_a_share(logits, targets, alpha):
    """0.5 · ASL + 0.5 α E_cgp + (0.5 − 0.5 α) E_dgp, summed, as the release writes it."""
    shares = {"cgp": alpha, "dgp": 1 - alpha}
    build = objective("sum", hard_weight=0.5, soft_weight=0.5, shares=shares)
    loss, _ = build(logits, STATES, targets)
    cgp, dgp = (((logits - targets[s]) ** 2).sum() for s in ("cgp", "dgp"))
    hard = AsymmetricLoss(4, 0, 0.05)(logits, STATES).sum()
    torch.testing.assert_close(loss, 0.5 * hard + 0.5 * alpha * cgp + (0.5 - 0.5 * alpha) * dgp)

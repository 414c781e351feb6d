"""Objectives of classification and distillation: weights, shares, reduction."""

import numpy as np
import pytest
import torch

from mlic.distillation.targets import SoftTargets
from mlic.errors import TrainingError
from mlic.losses.asymmetric import AsymmetricLoss
from mlic.training.batch import Batch
from mlic.training.distillation_options import DistillationOptions
from mlic.training.tasks.classification import ClassificationTask
from mlic.training.tasks.distillation import DistillationTask

STATES = torch.tensor([[1, 0, -1, 1], [-1, 1, 0, 0]])
ROWS = np.arange(2)


@pytest.fixture
def logits():
    return torch.randn(2, 4)


@pytest.fixture
def targets():
    return {"cgp": torch.randn(2, 4), "dgp": torch.randn(2, 4)}


@pytest.fixture
def objective(make_job, labels):
    """Loss and terms of given logits, as a task computes them."""

    def objective(logits, states, soft=None, reduction="mean", **distillation):
        job = make_job(reduction=reduction)
        task = ClassificationTask(job)
        if soft is not None:
            values = {name: np.zeros((2, len(job.train_ids), 4), np.float32) for name in soft}
            stored = SoftTargets(labels.space, job.train_ids, values, job.views, {"t": "f"})
            options = DistillationOptions(distiller={"name": "logit_mse"}, **distillation)
            task = DistillationTask(
                make_job(reduction=reduction, targets=stored, distillation=options)
            )
        batch = Batch(torch.zeros(2, 3, 8, 8), states, ROWS, soft_targets=soft or {})
        return task.loss(0, lambda images, known: logits, batch)

    return objective


def test_mean_loss_is_over_known_states(objective, logits):
    terms = AsymmetricLoss()(logits, STATES)
    mean, named = objective(logits, STATES)
    total, _ = objective(logits, STATES, reduction="sum")
    torch.testing.assert_close(mean, terms.sum() / 6)
    torch.testing.assert_close(total, terms.sum())
    assert list(named) == ["hard"]


def test_loss_is_zero_without_known_states(objective, logits):
    logits.requires_grad_()
    loss, _ = objective(logits, torch.full_like(STATES, -1))
    loss.backward()
    assert loss == 0 and not logits.grad.any()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_weights_and_shares_follow_the_formula(objective, logits, targets, reduction):
    shares = {"cgp": 0.75, "dgp": 0.25}
    weights = {"hard_weight": 0.4, "soft_weight": 2.0, "shares": shares}
    loss, terms = objective(logits, STATES, targets, reduction, **weights)
    number = {"mean": 8, "sum": 1}[reduction]  # teachers predict unknown labels too
    cgp, dgp = (((logits - targets[s]) ** 2).sum() / number for s in ("cgp", "dgp"))
    hard, _ = objective(logits, STATES, reduction=reduction)
    torch.testing.assert_close(loss, 0.4 * hard + 2.0 * (0.75 * cgp + 0.25 * dgp))
    torch.testing.assert_close(terms["cgp"], cgp)
    assert set(terms) == {"hard", "cgp", "dgp"}


def test_equal_shares_are_the_published_weights(objective, logits, targets):
    """0.5 on the labels and 0.25 on each kind of teachers."""
    loss, terms = objective(logits, STATES, targets, hard_weight=0.5, soft_weight=0.5)
    expected = 0.5 * terms["hard"] + 0.25 * terms["cgp"] + 0.25 * terms["dgp"]
    torch.testing.assert_close(loss, expected)


def test_one_strategy_has_the_whole_soft_weight(objective, logits, targets):
    soft = {"cgp": targets["cgp"]}
    loss, terms = objective(logits, STATES, soft, hard_weight=0.0, soft_weight=0.5)
    torch.testing.assert_close(loss, 0.5 * terms["cgp"])


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_published_alpha_is_a_share(objective, logits, targets, alpha):
    """0.5 · ASL + 0.5 α E_cgp + (0.5 − 0.5 α) E_dgp, summed, as in the authors' release."""
    shares = {"cgp": alpha, "dgp": 1 - alpha}
    weights = {"hard_weight": 0.5, "soft_weight": 0.5, "shares": shares}
    loss, _ = objective(logits, STATES, targets, "sum", **weights)
    cgp, dgp = (((logits - targets[s]) ** 2).sum() for s in ("cgp", "dgp"))
    hard = AsymmetricLoss(4, 0, 0.05)(logits, STATES).sum()
    torch.testing.assert_close(loss, 0.5 * hard + 0.5 * alpha * cgp + (0.5 - 0.5 * alpha) * dgp)


def test_linked_term_compares_what_the_logits_mean(objective, logits, targets):
    soft, link = {"cgp": targets["cgp"]}, AsymmetricLoss().link
    _, terms = objective(logits, STATES, soft, linked=True)
    expected = ((link(logits) - link(soft["cgp"])) ** 2).mean()
    torch.testing.assert_close(terms["cgp"], expected)
    _, raw = objective(logits, STATES, soft)
    assert not torch.isclose(raw["cgp"], expected)


def test_linked_student_settles_where_its_teacher_and_the_labels_agree(objective):
    """The minimum of both terms is the logit that means the true probability."""
    states = (torch.arange(8)[:, None] < 2).to(torch.int8).expand(8, 4)  # a quarter
    odds = torch.tensor(0.25).logit()
    grid = torch.linspace(-4, 4, 8001)
    settled = grid[(AsymmetricLoss().link(grid) - odds).abs().argmin()]
    logits = torch.full((8, 4), float(settled), requires_grad=True)
    soft = {"cgp": torch.full((8, 4), float(settled))}
    loss, _ = objective(logits, states, soft, linked=True)
    loss.backward()
    assert logits.grad.sum().abs() < 1e-3 * logits.grad.abs().sum()


def test_linked_gradients_are_finite_far_away(objective):
    logits = torch.tensor([[-60.0, -3.0, 0.0, 60.0]], requires_grad=True)
    soft = {"cgp": torch.tensor([[60.0, 3.0, -60.0, -3.0]])}
    loss, _ = objective(logits, STATES[:1], soft, linked=True)
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()


def test_distillation_needs_targets(make_job):
    with pytest.raises(TrainingError):
        DistillationTask(make_job())

"""Branches on a trunk that learns from all: one training, one model for each branch."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from mlic.errors import CheckpointError, TrainingError
from mlic.evaluation.metrics import mean_average_precision
from mlic.labels import LabelMatrix
from mlic.models.options import BranchedModelOptions
from mlic.training.batch import Batch
from mlic.training.checkpoint import Checkpoint
from mlic.training.fit import fit
from mlic.training.predict import predict_checkpoint, predict_training_views
from mlic.training.state import TrainingState
from mlic.training.tasks.classification import ClassificationTask
from mlic.training.tasks.joint_teachers import JointTeachersTask, predict_joint_views
from mlic.training.train import train

TINY = {"backbone": "resnet10t", "backbone_options": {"channels": [8, 8, 16, 16], "stem_width": 8}}
PARTS = [[2, 0], [3, 1], [0, 1, 2, 3]]
ENCODER = {"head": "transformer_encoder", "head_options": {"width": 8, "heads": 2, "layers": 1}}


@pytest.fixture
def make_jobs(make_job, labels):
    def make(like=None, labels=labels, parts=PARTS, **changes):
        model = BranchedModelOptions(**{**TINY, "branch": {"width": 4}, **(like or {})})
        own = {"role": "teacher", "model": model, "epochs": 2, **changes}
        return [
            make_job(name=f"teachers.cgp_{i}", labels=labels.with_labels(part), seed=5, **own)
            for i, part in enumerate(parts)
        ]

    return make


@pytest.fixture
def teach(make_jobs):
    def teach(**changes):
        jobs = make_jobs(**changes)
        return jobs, train(JointTeachersTask(jobs))

    return teach


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_objective_is_over_all_known_states(make_jobs, labels, reduction):
    states = labels.states.copy()
    states[::3, 0] = -1
    unknown = LabelMatrix(labels.space, labels.ids, states, labels.split)
    task = JointTeachersTask(make_jobs(labels=unknown, reduction=reduction))
    task.build(0)
    data = task.make_data()
    known, logits = torch.from_numpy(data.states[:8]), torch.randn(8, 8)
    batch = Batch(torch.zeros(8, 3, 8, 8), known, np.arange(8))
    total, terms = task.loss(0, lambda images, given: logits, batch)
    losses = task.hard_loss(logits, known)
    expected = losses.sum() if reduction == "sum" else losses.sum() / (known >= 0).sum()
    torch.testing.assert_close(total, expected)
    assert list(terms) == [f"teachers.cgp_{i}" for i in range(3)]
    own = losses[:, 2:4].sum() / (1 if reduction == "sum" else (known[:, 2:4] >= 0).sum())
    torch.testing.assert_close(terms["teachers.cgp_1"], own)
    assert np.array_equal(data.states[:, 2:4], states[:, [3, 1]])


@pytest.mark.parametrize("like", [{}, {"branch": {"after": -2, "width": 4}}, ENCODER])
def test_every_teacher_is_a_complete_model(teach, like):
    """From its own checkpoint a teacher predicts what it predicts in the joint pass."""
    jobs, teachers = teach(like=like)
    together = list(predict_joint_views(jobs, teachers))
    assert len(together) == 2  # views
    for number, (job, teacher) in enumerate(zip(jobs, teachers, strict=True)):
        back = Checkpoint.from_tensors(*teacher.to_tensors())
        assert back.space == job.labels.space and back.info.components == job.components()
        alone = list(predict_training_views(job, back))
        for logits, own in zip(together, alone, strict=True):
            np.testing.assert_allclose(logits[number], own, atol=1e-5)
            assert np.ptp(own, axis=0).min() > 1e-3
        rows = job.labels.rows("validation")
        score = mean_average_precision(
            predict_checkpoint(back, job.images, rows, job.options), job.labels.states[rows]
        )
        assert teacher.info.validation_map == pytest.approx(score)


def test_trunk_is_trained_and_shared(teach):
    jobs, teachers = teach()
    before = TrainingState(JointTeachersTask(jobs), jobs[0].options).learners[0].model.trunk
    before = before.state_dict()
    trunk = {n: v for n, v in teachers[0].weights.items() if n.startswith("backbone.trunk.")}
    moved = [
        np.abs(value - before[name.removeprefix("backbone.trunk.")].numpy()).max()
        for name, value in trunk.items()
        if name.endswith("conv.weight") or name.endswith("conv1.weight")
    ]
    assert len(moved) > 3 and min(moved) > 1e-4
    for other in teachers[1:]:
        assert all(np.array_equal(other.weights[name], value) for name, value in trunk.items())
    branches = [t.weights["backbone.branch.change.0.conv.weight"] for t in teachers]
    assert all(np.abs(branches[0] - other).max() > 1e-3 for other in branches[1:])
    assert len({(t.info.epoch, t.info.averaged) for t in teachers}) == 1


def test_equal_jobs_yield_equal_teachers_and_another_seed_does_not(teach):
    first, second, other = (teach(**how)[1] for how in ({}, {}, {"view_seed": 1}))
    assert [t.fingerprint for t in first] == [t.fingerprint for t in second]
    assert all(a.fingerprint != b.fingerprint for a, b in zip(first, other, strict=True))


def test_one_branch_alone_equals_the_training_of_a_single_model(teach):
    """An oracle: the task of a single model yields the same weights, to the bit."""
    (job,), (teacher,) = teach(parts=[[3, 1]])
    (single,) = train(ClassificationTask(job))
    assert single.fingerprint == teacher.fingerprint
    assert single.info.validation_map == teacher.info.validation_map


def test_every_teacher_reports_its_own_branch(make_jobs):
    jobs = make_jobs(epochs=3)
    reported = [[] for _ in jobs]
    teachers = train(
        JointTeachersTask(jobs),
        [lambda epoch, figures, own=own: own.append((epoch, figures)) for own in reported],
    )
    for own, teacher in zip(reported, teachers, strict=True):
        assert [epoch for epoch, _ in own] == [1, 2, 3]
        assert [figures for _, figures in own] == teacher.info.history
        best = own[teacher.info.epoch - 1][1]
        kind = "ema" if teacher.info.averaged else "raw"
        assert teacher.info.validation_map == best[f"validation_mAP_{kind}"]
    assert len({figures[0][1]["loss"] for figures in reported}) == 3
    mean = [
        max(np.mean([own[e][1][f"validation_mAP_{w}"] for own in reported]) for w in ("raw", "ema"))
        for e in range(3)
    ]
    assert teachers[0].info.epoch == int(np.argmax(mean)) + 1


@pytest.mark.parametrize("empty", ["all", "one group"])
def test_parts_without_positives_in_validation_are_left_out_of_the_mean(teach, labels, empty):
    states = labels.states.copy()
    rows = labels.rows("validation")
    states[np.ix_(rows, [0, 1, 2, 3] if empty == "all" else [0, 2])] = 0
    bare = LabelMatrix(labels.space, labels.ids, states, labels.split)
    _, teachers = teach(labels=bare, parts=PARTS[:2])
    assert teachers[0].info.validation_map is None
    assert (teachers[1].info.validation_map is None) is (empty == "all")
    assert not any(math.isnan(v) for t in teachers for h in t.info.history for v in h.values())


def test_without_validation_the_last_average_is_kept(teach, labels):
    split = np.where(labels.split == "validation", "test", labels.split)
    _, teachers = teach(labels=LabelMatrix(labels.space, labels.ids, labels.states, split))
    assert {(t.info.epoch, t.info.averaged, t.info.validation_map) for t in teachers} == {
        (2, True, None)
    }


def test_teachers_of_two_trainings_cannot_predict_in_one_pass(teach):
    jobs, teachers = teach()
    _, others = teach(view_seed=1)
    with pytest.raises(CheckpointError) as caught:
        next(predict_joint_views(jobs, [*teachers[:2], others[2]]))
    assert caught.value.fields == {"name": "teachers.cgp_2"}


def test_a_loss_that_is_not_finite_stops_the_training(make_jobs):
    jobs = make_jobs(epochs=3, learning_rate=1e20, optimizer="sgd")
    with pytest.raises(TrainingError) as caught:
        train(JointTeachersTask(jobs))
    assert caught.value.fields["parameter"] == "training.learning_rate"


def test_accumulation_reduces_the_number_of_steps(make_jobs):
    jobs = make_jobs(accumulation=2)
    task = JointTeachersTask(jobs)
    state = TrainingState(task, jobs[0].options)
    fit(task, task.make_data(), jobs[0].options, state, lambda epoch, figures: None)
    assert state.learners[0].steps_done == 2 * math.ceil(3 / 2)


def test_only_the_first_seed_matters(make_jobs):
    jobs = make_jobs(epochs=1)
    mixed = [jobs[0], *(replace(job, seed=9 + i) for i, job in enumerate(jobs[1:]))]
    one, other = ([t.fingerprint for t in train(JointTeachersTask(j))] for j in (jobs, mixed))
    assert one == other

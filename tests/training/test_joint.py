"""Branches on a trunk that learns from all: one training, and each a model of its own."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from mlic.caching.store import ArtifactStore
from mlic.errors import CheckpointError, TrainingError
from mlic.evaluation.metrics import mean_average_precision
from mlic.labels import LabelMatrix
from mlic.models.classifier import build_classifier
from mlic.models.options import BranchedModelOptions
from mlic.training import fit as loop
from mlic.training.checkpoint import Checkpoint
from mlic.training.joint import _JointTraining, predict_jointly, train_jointly
from mlic.training.predict import predict_checkpoint, predict_training_views, write_all_logits

TINY = {"backbone": "resnet10t", "backbone_options": {"channels": [8, 8, 16, 16], "stem_width": 8}}
PARTS = [[2, 0], [3, 1], [0, 1, 2, 3]]
ENCODER = {"head": "transformer_encoder", "head_options": {"width": 8, "heads": 2, "layers": 1}}


def ignore(epoch, figures):
    pass


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
        return jobs, train_jointly(jobs, [ignore] * len(jobs))

    return teach


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_objective_is_over_all_known_cells(make_jobs, labels, reduction):
    states = labels.states.copy()
    states[::3, 0] = -1
    unknown = LabelMatrix(labels.space, labels.ids, states, labels.split)
    training = _JointTraining(make_jobs(labels=unknown, reduction=reduction))
    known = torch.from_numpy(training.states[:8])
    logits = torch.randn(8, 8)
    total, terms = training._compare(logits, known, None)
    cells = training.objective.loss(logits, known)
    expected = cells.sum() if reduction == "sum" else cells.sum() / (known >= 0).sum()
    torch.testing.assert_close(total, expected)
    assert list(terms) == [f"teachers.cgp_{i}" for i in range(3)]
    own = cells[:, 2:4].sum() / (1 if reduction == "sum" else (known[:, 2:4] >= 0).sum())
    torch.testing.assert_close(terms["teachers.cgp_1"], own)
    assert np.array_equal(training.states[:, 2:4], states[:, [3, 1]])


@pytest.mark.parametrize("like", [{}, {"branch": {"after": -2, "width": 4}}, ENCODER])
def test_each_is_a_whole_model(teach, like):
    """From its own checkpoint a teacher says what it said in the pass over all."""
    jobs, teachers = teach(like=like)
    together = list(predict_jointly(jobs, teachers))
    assert len(together) == 2  # views
    for number, (job, teacher) in enumerate(zip(jobs, teachers, strict=True)):
        back = Checkpoint.from_tensors(*teacher.to_tensors())
        assert back.space == job.labels.space and back.info.components == job.components()
        alone = list(predict_training_views(job, back))
        for said, own in zip(together, alone, strict=True):
            np.testing.assert_allclose(said[number], own, atol=1e-5)
            assert np.ptp(own, axis=0).min() > 1e-3
        rows = job.labels.rows("validation")
        score = mean_average_precision(
            predict_checkpoint(back, job.images, rows, job.options), job.labels.states[rows]
        )
        assert teacher.info.validation_map == pytest.approx(score)


def test_the_trunk_learns_and_is_common(teach):
    jobs, teachers = teach()
    before = _JointTraining(jobs).model.trunk.state_dict()
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


def test_equal_jobs_are_equal_teachers_and_the_seed_counts(teach):
    first, second, other = (teach(**how)[1] for how in ({}, {}, {"view_seed": 1}))
    assert [t.fingerprint for t in first] == [t.fingerprint for t in second]
    assert all(a.fingerprint != b.fingerprint for a, b in zip(first, other, strict=True))


def test_one_branch_alone_is_a_plain_training_of_a_branched_model(teach):
    """An oracle: the loop of a single model yields the same weights, to the bit."""
    (job,), (teacher,) = teach(parts=[[3, 1]])

    class Plain(loop._Training):
        def _build(self):
            model = build_classifier(self.job.model, 2)
            self.frame = loop.frame_of(self.job, model)
            return model

    training = Plain(job)
    plain = training.checkpoint(job, *training.run(ignore))
    assert plain.fingerprint == teacher.fingerprint
    assert plain.info.validation_map == teacher.info.validation_map


def test_everyone_is_told_of_its_own_branch(make_jobs):
    jobs = make_jobs(epochs=3)
    told = [[] for _ in jobs]
    teachers = train_jointly(
        jobs, [lambda epoch, figures, own=own: own.append((epoch, figures)) for own in told]
    )
    for own, teacher in zip(told, teachers, strict=True):
        assert [epoch for epoch, _ in own] == [1, 2, 3]
        assert [figures for _, figures in own] == teacher.info.history
        kept = own[teacher.info.epoch - 1][1]
        which = "ema" if teacher.info.averaged else "raw"
        assert teacher.info.validation_map == kept[f"validation_mAP_{which}"]
    assert len({figures[0][1]["loss"] for figures in told}) == 3
    mean = [
        max(np.mean([own[epoch][1][f"validation_mAP_{w}"] for own in told]) for w in ("raw", "ema"))
        for epoch in range(3)
    ]
    assert teachers[0].info.epoch == int(np.argmax(mean)) + 1


@pytest.mark.parametrize("empty", ["all", "one group"])
def test_groups_without_positives_in_validation_are_left_out_of_the_mean(teach, labels, empty):
    states = labels.states.copy()
    rows = labels.rows("validation")
    states[np.ix_(rows, [0, 1, 2, 3] if empty == "all" else [0, 2])] = 0
    bare = LabelMatrix(labels.space, labels.ids, states, labels.split)
    _, teachers = teach(labels=bare, parts=PARTS[:2])
    assert teachers[0].info.validation_map is None
    assert (teachers[1].info.validation_map is None) is (empty == "all")
    assert not any(math.isnan(v) for t in teachers for h in t.info.history for v in h.values())


def test_no_validation_gives_the_last_average(teach, labels):
    split = np.where(labels.split == "validation", "test", labels.split)
    _, teachers = teach(labels=LabelMatrix(labels.space, labels.ids, labels.states, split))
    assert {(t.info.epoch, t.info.averaged, t.info.validation_map) for t in teachers} == {
        (2, True, None)
    }


def test_teachers_of_two_trainings_do_not_speak_in_one_pass(teach):
    jobs, teachers = teach()
    _, others = teach(view_seed=1)
    with pytest.raises(CheckpointError, match=r"'teachers\.cgp_2'.*not trained in one pass"):
        next(predict_jointly(jobs, [*teachers[:2], others[2]]))


def test_what_all_say_is_written_in_one_pass_and_once(teach, tmp_path):
    jobs, teachers = teach()
    stores = [ArtifactStore(tmp_path / job.name, job.name) for job in jobs]
    views, asked = list(predict_jointly(jobs, teachers)), []

    def speak():
        for view in views:
            asked.append(1)
            yield view

    first = write_all_logits(jobs, teachers, speak(), stores, "float16")
    for number, own in enumerate(first):
        assert own.teacher == jobs[number].name and own.fingerprint == teachers[number].fingerprint
        expected = np.stack([view[number] for view in views]).astype(np.float16)
        assert np.array_equal(own.values, expected)
    assert len(asked) == 2
    write_all_logits(jobs, teachers, speak(), stores, "float16")
    assert len(asked) == 2
    (tmp_path / jobs[1].name / "logits.npy").unlink()
    again = write_all_logits(jobs, teachers, speak(), stores, "float16")
    assert len(asked) == 4 and np.array_equal(again[1].values, first[1].values)
    with pytest.raises(ValueError, match="argument 2 is longer"):
        write_all_logits(jobs, teachers, iter(views[:1]), stores, "float32")
    assert not list(tmp_path.rglob("*.partial"))


def test_a_loss_that_is_no_number_stops_the_training(make_jobs):
    jobs = make_jobs(epochs=3, learning_rate=1e20, optimizer="sgd")
    with pytest.raises(TrainingError, match=r"teachers: .*lower training\.learning_rate"):
        train_jointly(jobs, [ignore] * 3)


def test_accumulated_steps_are_fewer(make_jobs):
    training = _JointTraining(make_jobs(accumulation=2))
    training.run(ignore)
    assert training.steps_done == 2 * math.ceil(3 / 2)


def test_only_the_first_seed_counts(make_jobs):
    jobs = make_jobs(epochs=1)
    mixed = [jobs[0], *(replace(job, seed=9 + i) for i, job in enumerate(jobs[1:]))]
    prints = [[t.fingerprint for t in train_jointly(some, [ignore] * 3)] for some in (jobs, mixed)]
    assert prints[0] == prints[1]

"""Branches on one frozen trunk: trained side by side as if alone, one model for each."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mlic.errors import ParameterError
from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.models.classifier import build_classifier
from mlic.models.options import BranchedModelOptions, ModelOptions
from mlic.training.checkpoint import Checkpoint
from mlic.training.features import FrozenFeatures
from mlic.training.predict import predict_checkpoint, predict_training_views
from mlic.training.state import TrainingState
from mlic.training.tasks.frozen_branches import FrozenBranchesTask, predict_branch_views
from mlic.training.train import make_task, train

TINY = {"backbone": "resnet10t", "backbone_options": {"channels": [8, 8, 16, 16], "stem_width": 8}}
PARTS = [[2, 0], [3, 1], [0, 1, 2, 3]]
ENCODER = {"head": "transformer_encoder", "head_options": {"width": 8, "heads": 2, "layers": 1}}
HALFWAY = {"branch": {"after": -2, "width": 4}}


@pytest.fixture(scope="module")
def trained():
    """Baselines by their parameters, each trained once."""
    return {}


@pytest.fixture
def make_branches(make_job, labels, trained, tmp_path):
    """Jobs of three branches, and features of the trunk that they share."""

    def make(like=None, **changes):
        single = ModelOptions(**{**TINY, **{k: v for k, v in (like or {}).items() if k in TINY}})
        key = single.model_dump_json()
        if key not in trained:
            (trained[key],) = train(make_task(make_job(model=single)))
        model = BranchedModelOptions(**{**TINY, "branch": {"width": 4}, **(like or {})})
        own = {"role": "teacher", "model": model, "epochs": 2, **changes}
        jobs = [
            make_job(name=f"teachers.cgp_{i}", labels=labels.with_labels(part), seed=i, **own)
            for i, part in enumerate(PARTS)
        ]
        return jobs, FrozenFeatures(trained[key], jobs[0], tmp_path)

    return make


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"like": HALFWAY, "accumulation": 2},
        {"like": {"head_options": {"dropout": 0.5}}, "optimizer": "sgd"},
    ],
)
def test_training_side_by_side_equals_training_alone_to_the_bit(make_branches, changes):
    jobs, features = make_branches(**changes)
    losses = [[] for _ in jobs]
    reports = [lambda epoch, figures, own=own: own.append(figures["loss"]) for own in losses]
    with features:
        together = train(FrozenBranchesTask(jobs, features), reports)
    for number, job in enumerate(jobs):
        alone, (_, again) = [], make_branches(**changes)
        with again:
            report = [lambda _, figures, own=alone: own.append(figures["loss"])]
            (one,) = train(FrozenBranchesTask([job], again), report)
        assert one.fingerprint == together[number].fingerprint
        assert alone == losses[number] and len(alone) == 2
        assert one.info.validation_map == together[number].info.validation_map


@pytest.mark.parametrize(
    "like",
    [
        {},
        HALFWAY,
        {"backbone": "test_convnext", "backbone_options": {}},
    ],  # it normalises pooled features
)
def test_every_branch_is_a_complete_model(make_branches, like, tmp_path):
    """From its checkpoint a branch predicts what it predicts on features, up to rounding."""
    jobs, features = make_branches(like)
    with features:
        for job, teacher in zip(jobs, train(FrozenBranchesTask(jobs, features)), strict=True):
            back = Checkpoint.from_tensors(*teacher.to_tensors())
            assert back.space == job.labels.space and back.info.components == job.components()
            assert back.info.model.branch.width == 4
            for ours, theirs in zip(
                predict_branch_views(job, teacher, features),
                predict_training_views(job, back),
                strict=True,
            ):
                np.testing.assert_allclose(ours, theirs, atol=2e-3)
                assert np.ptp(theirs, axis=0).min() > 4e-3
            assert predict_checkpoint(back, job.images, [0], job.options).shape[1] == len(
                job.labels.space
            )
    assert not list(tmp_path.iterdir())  # the features are deleted


@pytest.mark.parametrize("like", [{}, HALFWAY])
def test_trunk_is_the_baselines_and_is_not_trained(make_branches, trained, like):
    jobs, features = make_branches(like)
    with features:
        teachers = train(FrozenBranchesTask(jobs, features))
    lower = [name for name in teachers[0].weights if name.startswith("backbone.trunk.")]
    (baseline,) = [one for key, one in trained.items() if "resnet10t" in key]
    whole = [name for name in baseline.weights if name.startswith("backbone.")]
    assert len(lower) > 10 and (len(lower) < len(whole)) is bool(like)
    for name in lower:
        theirs = baseline.weights[name.replace("trunk.model.", "", 1)]
        assert all(np.array_equal(teacher.weights[name], theirs) for teacher in teachers)


def test_average_does_not_copy_the_trunk(make_branches):
    jobs, features = make_branches()
    task = FrozenBranchesTask(jobs[:1], features)
    (branch,) = TrainingState(task, jobs[0].options).learners
    assert branch.average.module.pool.trunk is branch.model.pool.trunk is features.trunk
    assert not any(p.requires_grad for p in features.trunk.parameters())
    assert all("trunk" not in name for name in branch.model.state_dict())


@pytest.mark.parametrize("like", [{}, HALFWAY])
def test_teachers_differ_by_more_than_a_linear_map(make_branches, like):
    """Linear heads on one trunk would be equivalent to one linear head."""
    jobs, features = make_branches(like, learning_rate=0.05, epochs=6)
    with features:
        teachers = train(FrozenBranchesTask(jobs, features))
        pooled = torch.from_numpy(features.training[0].astype(np.float32)).mean(dim=(2, 3)).numpy()
    first = next(name for name in teachers[0].weights if name.startswith("backbone.branch"))
    branches = [t.weights[first] for t in teachers]
    assert all(np.abs(branches[0] - other).max() > 1e-3 for other in branches[1:])
    logits = next(predict_training_views(jobs[2], teachers[2]))
    known = np.column_stack([pooled, np.ones(len(pooled))])
    assert len(known) > known.shape[1]
    fitted = known @ np.linalg.lstsq(known, logits, rcond=None)[0]
    assert np.abs(fitted - logits).max() > 1e-3


@pytest.mark.parametrize("like", [ENCODER, ENCODER | HALFWAY])
def test_heads_on_feature_maps_train_on_a_branch(make_branches, like):
    jobs, features = make_branches(like)
    with features:
        (one,) = train(FrozenBranchesTask(jobs[:1], features))
    assert predict_checkpoint(one, jobs[0].images, [0, 1], jobs[0].options).shape == (2, 2)


def test_features_cover_all_views_and_the_validation_images(make_branches, labels):
    _, features = make_branches(batch_size=5)
    with features:
        assert features.training.shape[:3] == (2, 24, 16) and features.training.dtype == np.float16
        assert len(features.validation) == len(labels.rows("validation"))
        assert not np.array_equal(features.training[0], features.training[1])


def test_branch_is_part_of_the_fingerprint(make_branches):
    job = make_branches()[0][0]
    wider = job.model.model_copy(
        update={"branch": job.model.branch.model_copy(update={"width": 8})}
    )
    assert replace(job, model=wider).components() != job.components()


@pytest.mark.parametrize("after", [7, -9])
def test_a_missing_stage_is_refused(after):
    options = BranchedModelOptions(**TINY, branch={"after": after})
    with pytest.raises(ParameterError) as caught:
        build_classifier(options, LabelContext(LabelSpace(("cat", "dog"))))
    assert caught.value.fields == {"parameter": "teachers.branch.after", "value": after}

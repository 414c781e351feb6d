"""Branches on one frozen trunk: trained side by side as if alone, and each a model of its own."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mlic.errors import ParameterError
from mlic.models.classifier import build_classifier
from mlic.models.options import BranchedModelOptions, ModelOptions
from mlic.training.checkpoint import Checkpoint
from mlic.training.joint import predict_branch_views, train_branches
from mlic.training.loop import train
from mlic.training.predict import predict_checkpoint, predict_training_views
from mlic.training.trunk import FrozenTrunk

TINY = {"backbone": "resnet10t", "backbone_options": {"channels": [8, 8, 16, 16], "stem_width": 8}}
PARTS = [[2, 0], [3, 1], [0, 1, 2, 3]]
ENCODER = {"head": "transformer_encoder", "head_options": {"width": 8, "heads": 2, "layers": 1}}


def ignore(epoch, figures):
    pass


@pytest.fixture(scope="module")
def trained():
    """Baselines by their parameters, each trained once."""
    return {}


@pytest.fixture
def make_branches(make_job, labels, trained, tmp_path):
    """Jobs of three branches and the trunk that they share."""

    def make(head=None, **changes):
        baseline = trained.setdefault("baseline", train(make_job(model=ModelOptions(**TINY))))
        model = BranchedModelOptions(**TINY, **(head or {}), branch={"width": 4})
        own = {"role": "teacher", "model": model, "epochs": 2, **changes}
        jobs = [
            make_job(name=f"teachers.cgp_{i}", labels=labels.with_labels(part), seed=i, **own)
            for i, part in enumerate(PARTS)
        ]
        return jobs, FrozenTrunk(baseline, jobs[0], tmp_path)

    return make


@pytest.mark.parametrize(
    "changes",
    [{}, {"accumulation": 2}, {"optimizer": "sgd"}, {"head": {"head_options": {"dropout": 0.5}}}],
)
def test_side_by_side_is_each_alone_to_the_bit(make_branches, changes):
    jobs, trunk = make_branches(**changes)
    told = [[] for _ in jobs]
    reports = [lambda epoch, figures, own=own: own.append(figures["loss"]) for own in told]
    with trunk:
        together = train_branches(jobs, trunk, reports)
        for number, job in enumerate(jobs):
            alone = []
            (one,) = train_branches([job], trunk, [lambda _, f, own=alone: own.append(f["loss"])])
            assert one.fingerprint == together[number].fingerprint
            assert alone == told[number] and len(alone) == 2
            assert one.info.validation_map == together[number].info.validation_map


def test_each_is_a_whole_model(make_branches, tmp_path):
    """From its own checkpoint a branch says what it said on the features, rounding apart."""
    jobs, trunk = make_branches()
    with trunk:
        for job, teacher in zip(jobs, train_branches(jobs, trunk, [ignore] * 3), strict=True):
            back = Checkpoint.from_tensors(*teacher.to_tensors())
            assert back.space == job.labels.space and back.info.components == job.components()
            assert back.info.model.branch.width == 4
            for ours, theirs in zip(
                predict_branch_views(job, teacher, trunk),
                predict_training_views(job, back),
                strict=True,
            ):
                np.testing.assert_allclose(ours, theirs, atol=2e-4)
                assert np.ptp(theirs, axis=0).min() > 1e-3
            assert predict_checkpoint(back, job.pictures, [0], job.options).shape[1] == len(
                job.labels.space
            )
    assert not list(tmp_path.iterdir())  # the features are gone


def test_the_trunk_is_the_baseline_s_and_stays(make_branches, trained):
    jobs, trunk = make_branches()
    with trunk:
        teachers = train_branches(jobs, trunk, [ignore] * 3)
    lower = [name for name in teachers[0].weights if name.startswith("backbone.trunk.")]
    assert len(lower) > 10
    for name in lower:
        theirs = trained["baseline"].weights[name.replace("trunk.", "", 1)]
        assert all(np.array_equal(teacher.weights[name], theirs) for teacher in teachers)


def test_teachers_differ_by_more_than_a_linear_map(make_branches):
    """Law 7: linear heads on one trunk would be one head cut in pieces."""
    jobs, trunk = make_branches()
    with trunk:
        teachers = train_branches(jobs, trunk, [ignore] * 3)
        pooled = torch.from_numpy(trunk.training[0].astype(np.float32)).mean(dim=(2, 3)).numpy()
    branches = [t.weights["backbone.branch.0.conv.weight"] for t in teachers]
    assert all(np.abs(branches[0] - other).max() > 1e-3 for other in branches[1:])
    job = jobs[2]
    logits = next(predict_training_views(job, teachers[2]))
    known = np.column_stack([pooled, np.ones(len(pooled))])
    fitted = known @ np.linalg.lstsq(known, logits, rcond=None)[0]
    if len(known) > known.shape[1]:
        assert np.abs(fitted - logits).max() > 1e-3


def test_heads_over_maps_train_on_a_branch(make_branches):
    jobs, trunk = make_branches(head=ENCODER)
    with trunk:
        (one,) = train_branches(jobs[:1], trunk, [ignore])
    assert predict_checkpoint(one, jobs[0].pictures, [0, 1], jobs[0].options).shape == (2, 2)


def test_features_are_of_the_views_and_of_validation(make_branches, labels):
    _, trunk = make_branches(batch_size=5)
    with trunk:
        assert trunk.training.shape[:3] == (2, 24, 16) and trunk.training.dtype == np.float16
        assert len(trunk.validation) == len(labels.rows("validation"))
        assert not np.array_equal(trunk.training[0], trunk.training[1])


def test_the_branch_decides_the_fingerprint(make_branches):
    job = make_branches()[0][0]
    wider = job.model.model_copy(
        update={"branch": job.model.branch.model_copy(update={"width": 8})}
    )
    assert replace(job, model=wider).components() != job.components()


@pytest.mark.parametrize("after", [7, -9])
def test_a_stage_that_is_not_there_is_refused(after):
    options = BranchedModelOptions(**TINY, branch={"after": after})
    with pytest.raises(ParameterError, match="cannot be cut there; timm tells 5 stages"):
        build_classifier(options, 2)


@pytest.mark.parametrize(
    "backbone", ["test_vit", "test_efficientnet", "test_resnet", "test_convnext"]
)
def test_any_family_can_be_cut(backbone):
    model = build_classifier(BranchedModelOptions(backbone=backbone, branch={"width": 4}), 3)
    size = 160 if backbone == "test_vit" else 64
    assert model(torch.rand(2, 3, size, size)).shape == (2, 3)
    whole = build_classifier(ModelOptions(backbone=backbone), 3)
    assert len(list(model.backbone.trunk.parameters())) < len(list(whole.backbone.parameters()))

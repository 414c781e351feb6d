"""Branches on one frozen trunk: trained side by side as if alone, and each a model of its own."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mlic.errors import ParameterError
from mlic.models.classifier import build_classifier
from mlic.models.options import BranchedModelOptions, ModelOptions
from mlic.training.checkpoint import Checkpoint
from mlic.training.fit import train
from mlic.training.frozen import _Branch, predict_branch_views, train_branches
from mlic.training.predict import predict_checkpoint, predict_training_views
from mlic.training.trunk import FrozenTrunk

TINY = {"backbone": "resnet10t", "backbone_options": {"channels": [8, 8, 16, 16], "stem_width": 8}}
PARTS = [[2, 0], [3, 1], [0, 1, 2, 3]]
ENCODER = {"head": "transformer_encoder", "head_options": {"width": 8, "heads": 2, "layers": 1}}
HALFWAY = {"branch": {"after": -2, "width": 4}}


def ignore(epoch, figures):
    pass


@pytest.fixture(scope="module")
def trained():
    """Baselines by their parameters, each trained once."""
    return {}


@pytest.fixture
def make_branches(make_job, labels, trained, tmp_path):
    """Jobs of three branches and the trunk that they share."""

    def make(like=None, **changes):
        plain = ModelOptions(**{**TINY, **{k: v for k, v in (like or {}).items() if k in TINY}})
        key = plain.model_dump_json()
        baseline = trained.setdefault(key, train(make_job(model=plain)))
        model = BranchedModelOptions(**{**TINY, "branch": {"width": 4}, **(like or {})})
        own = {"role": "teacher", "model": model, "epochs": 2, **changes}
        jobs = [
            make_job(name=f"teachers.cgp_{i}", labels=labels.with_labels(part), seed=i, **own)
            for i, part in enumerate(PARTS)
        ]
        return jobs, FrozenTrunk(baseline, jobs[0], tmp_path)

    return make


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"like": HALFWAY, "accumulation": 2},
        {"like": {"head_options": {"dropout": 0.5}}, "optimizer": "sgd"},
    ],
)
def test_side_by_side_is_each_alone_to_the_bit(make_branches, changes):
    jobs, trunk = make_branches(**changes)
    told = [[] for _ in jobs]
    reports = [lambda epoch, figures, own=own: own.append(figures["loss"]) for own in told]
    with trunk:
        together = train_branches(jobs, trunk, reports)
    for number, job in enumerate(jobs):
        alone, (_, anew) = [], make_branches(**changes)  # who asks for the trunk first is nothing
        with anew:
            (one,) = train_branches([job], anew, [lambda _, f, own=alone: own.append(f["loss"])])
        assert one.fingerprint == together[number].fingerprint
        assert alone == told[number] and len(alone) == 2
        assert one.info.validation_map == together[number].info.validation_map


@pytest.mark.parametrize(
    "like",
    [{}, HALFWAY, {"backbone": "test_convnext", "backbone_options": {}}],  # it norms what it pools
)
def test_each_is_a_whole_model(make_branches, like, tmp_path):
    """From its own checkpoint a branch says what it said on the features, rounding apart."""
    jobs, trunk = make_branches(like)
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
                np.testing.assert_allclose(ours, theirs, atol=2e-3)
                assert np.ptp(theirs, axis=0).min() > 4e-3
            assert predict_checkpoint(back, job.images, [0], job.options).shape[1] == len(
                job.labels.space
            )
    assert not list(tmp_path.iterdir())  # the features are gone


@pytest.mark.parametrize("like", [{}, HALFWAY])
def test_the_trunk_is_the_baseline_s_and_stays(make_branches, trained, like):
    jobs, trunk = make_branches(like)
    with trunk:
        teachers = train_branches(jobs, trunk, [ignore] * 3)
    lower = [name for name in teachers[0].weights if name.startswith("backbone.trunk.")]
    (baseline,) = [one for key, one in trained.items() if "resnet10t" in key]
    whole = [name for name in baseline.weights if name.startswith("backbone.")]
    assert len(lower) > 10 and (len(lower) < len(whole)) is bool(like)
    for name in lower:
        theirs = baseline.weights[name.replace("trunk.model.", "", 1)]
        assert all(np.array_equal(teacher.weights[name], theirs) for teacher in teachers)


def test_an_average_does_not_copy_the_trunk(make_branches):
    jobs, trunk = make_branches()
    branch = _Branch(jobs[0], trunk)
    assert branch.average.module.pool.trunk is branch.model.pool.trunk is trunk.model
    assert not any(p.requires_grad for p in trunk.model.parameters())
    assert all("trunk" not in name for name in branch.model.state_dict())


@pytest.mark.parametrize("like", [{}, HALFWAY])
def test_teachers_differ_by_more_than_a_linear_map(make_branches, like):
    """Law 7: linear heads on one trunk would be one head cut in pieces."""
    jobs, trunk = make_branches(like, learning_rate=0.05, epochs=6)
    with trunk:
        teachers = train_branches(jobs, trunk, [ignore] * 3)
        pooled = torch.from_numpy(trunk.training[0].astype(np.float32)).mean(dim=(2, 3)).numpy()
    first = next(name for name in teachers[0].weights if name.startswith("backbone.branch"))
    branches = [t.weights[first] for t in teachers]
    assert all(np.abs(branches[0] - other).max() > 1e-3 for other in branches[1:])
    logits = next(predict_training_views(jobs[2], teachers[2]))
    known = np.column_stack([pooled, np.ones(len(pooled))])
    assert len(known) > known.shape[1]
    fitted = known @ np.linalg.lstsq(known, logits, rcond=None)[0]
    assert np.abs(fitted - logits).max() > 1e-3


@pytest.mark.parametrize("like", [ENCODER, ENCODER | HALFWAY])
def test_heads_over_maps_train_on_a_branch(make_branches, like):
    jobs, trunk = make_branches(like)
    with trunk:
        (one,) = train_branches(jobs[:1], trunk, [ignore])
    assert predict_checkpoint(one, jobs[0].images, [0, 1], jobs[0].options).shape == (2, 2)


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

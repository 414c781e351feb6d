"""Averages of baseline and student: weights, batch norms, the choice, and barriers."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from mlic.errors import CheckpointError, TrainingError
from mlic.training.averaging import average_checkpoints, average_weights
from mlic.training.checkpoint import Checkpoint
from mlic.training.distillation_options import AveragingOptions
from mlic.training.state import TrainingState
from mlic.training.train import make_task, train

OPTIONS = AveragingOptions(enabled=True, images=20)
START = 11


@pytest.fixture
def trained(make_job):
    """Two models that start alike and see the images in another order, and the second's job."""
    jobs = [make_job(name=name, seed=seed, start_seed=START) for name, seed in (("a", 1), ("b", 2))]
    return [train(make_task(job))[0] for job in jobs], jobs[1]


def with_map(checkpoint, score):
    return replace(checkpoint, info=checkpoint.info.model_copy(update={"validation_map": score}))


def test_start_seed_decides_the_initial_weights_alone(make_job):
    jobs = [make_job(seed=1, start_seed=START), make_job(seed=2, start_seed=START)]
    jobs += [make_job(seed=START), make_job(seed=1)]
    states = [TrainingState(make_task(job), job.options) for job in jobs]
    first, second, own, other = (
        {n: v.numpy() for n, v in s.learners[0].model.state_dict().items()} for s in states
    )
    for name, value in first.items():
        assert np.array_equal(value, second[name]) and np.array_equal(value, own[name])
    (head, *_) = [name for name in first if name.startswith("head.") and name.endswith("weight")]
    assert not np.array_equal(first[head], other[head])
    orders = [state.order.permutation(50).tolist() for state in states]
    assert orders[0] != orders[1] and orders[0] == orders[3]


def test_ends_of_the_average_are_the_two_models(trained):
    (one, other), _ = trained
    for share, end in ((0.0, one), (1.0, other)):
        mixed = average_weights(one.weights, other.weights, share)
        for name, value in mixed.items():
            assert value.dtype == end.weights[name].dtype
            if not name.endswith("num_batches_tracked"):
                np.testing.assert_array_equal(value, end.weights[name])


def test_average_of_a_model_with_itself_keeps_its_weights(trained, labels):
    (model, _), job = trained
    poor = with_map(model, 0.0)  # so that the average is chosen
    found = average_checkpoints(poor, poor, job, OPTIONS)
    assert found.info.averaging.share < 1
    for name, value in found.weights.items():
        if "running" not in name and "num_batches" not in name:
            np.testing.assert_allclose(value, model.weights[name], rtol=1e-6)
    # a model that is averaged with itself does as well as itself, whatever its batch norms
    again = Checkpoint.from_tensors(*found.to_tensors())
    assert again.info.averaging == found.info.averaging
    assert set(again.info.averaging.validation_maps) == {0.0, 0.25, 0.5, 0.75, 1.0}
    json.dumps(found.info.model_dump(mode="json"))


def test_batch_norms_are_those_of_the_training_views(trained):
    (one, other), job = trained
    found = average_checkpoints(with_map(one, 0.0), with_map(other, 0.0), job, OPTIONS)
    model = found.build()
    names = [n for n in found.weights if n.endswith("running_mean")]
    mixed = average_weights(one.weights, other.weights, found.info.averaging.share)
    assert any(not np.allclose(found.weights[n], mixed[n], atol=1e-3) for n in names)
    variances = [v for n, v in found.weights.items() if n.endswith("running_var")]
    assert names and all((v > 0).all() for v in variances)
    assert not model.training


def test_barrier_leaves_the_student_as_it_is(trained, caplog):
    (one, other), job = trained
    found = average_checkpoints(with_map(one, 2.0), with_map(other, 2.0), job, OPTIONS)
    assert found.info.averaging.barrier > 0 and found.info.averaging.share == 1
    assert found.fingerprint == other.fingerprint and found.info.validation_map == 2.0
    assert any(record.levelname == "WARNING" for record in caplog.records)


def test_student_that_is_best_is_not_averaged(trained):
    (one, other), job = trained
    found = average_checkpoints(with_map(one, -2.0), with_map(other, 1.5), job, OPTIONS)
    assert found.info.averaging.barrier <= 0 and found.info.averaging.share == 1
    assert found.fingerprint == other.fingerprint


def test_best_share_is_chosen_and_recorded(trained):
    (one, other), job = trained
    found = average_checkpoints(with_map(one, 0.0), with_map(other, 0.0), job, OPTIONS)
    record = found.info.averaging
    inner = {share: score for share, score in record.validation_maps.items() if 0 < share < 1}
    assert inner[record.share] == max(inner.values()) == found.info.validation_map
    assert (record.baseline, record.student) == (one.fingerprint, other.fingerprint)
    assert record.images == 20 and found.info.name == "b"
    assert found.fingerprint not in {one.fingerprint, other.fingerprint}


def test_result_does_not_depend_on_the_global_generator(trained):
    (one, other), job = trained
    low = with_map(one, 0.0), with_map(other, 0.0)
    first = average_checkpoints(*low, job, OPTIONS)
    torch.manual_seed(99)
    assert average_checkpoints(*low, job, OPTIONS).fingerprint == first.fingerprint


def test_without_validation_images_nothing_can_be_chosen(trained):
    (one, other), job = trained
    with pytest.raises(TrainingError) as raised:
        average_checkpoints(with_map(one, None), other, job, OPTIONS)
    assert raised.value.fields["parameter"] == "averaging.enabled"


def test_other_architectures_have_no_average(trained):
    (one, other), job = trained
    fewer = replace(one, weights=dict(list(one.weights.items())[:-1]))
    with pytest.raises(CheckpointError):
        average_checkpoints(fewer, other, job, OPTIONS)

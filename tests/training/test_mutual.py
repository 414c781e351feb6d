"""Mutual learning: two models, each with a term of its own for the other's predictions."""

import numpy as np
import pytest
import torch

from mlic.caching.store import ArtifactStore
from mlic.errors import TrainingError
from mlic.models.options import ModelOptions
from mlic.training.batch import Batch
from mlic.training.state import TrainingState
from mlic.training.train import make_task, peers_of, train
from mlic.training.unfinished import UnfinishedTraining

TINY = ModelOptions(
    backbone="resnet10t", backbone_options={"channels": [8, 8, 16, 16], "stem_width": 8}
)


@pytest.fixture
def job(make_job):
    return make_job(model=TINY, epochs=3, batch_size=5, peers=1, peer_weight=0.5)


@pytest.fixture
def state(job):
    return TrainingState(make_task(job, *peers_of(job)), job.options)


def batch_of(job, number=5):
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.normal(size=(number, 3, 32, 32)).astype(np.float32))
    own = job.labels.states[:number]
    return Batch(images, torch.from_numpy(np.concatenate([own, own], axis=1)), np.arange(number))


def logits_of(learner, batch):
    return learner.model.train()(batch.images).detach().double()


def test_objective_is_the_loss_and_the_divergence_from_the_peer(job, state):
    batch, task = batch_of(job), state.task
    own, other = (logits_of(learner, batch) for learner in state.learners)
    q, p = other.sigmoid(), own.sigmoid()
    divergence = q * (q / p).log() + (1 - q) * ((1 - q) / (1 - p)).log()
    total, terms = task.loss(0, state.learners[0].model, batch)
    hard = task.reduce_hard_loss(own.float(), torch.from_numpy(job.labels.states[:5]))
    torch.testing.assert_close(terms["hard"], hard)
    torch.testing.assert_close(terms["peers"].double(), divergence.mean(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(total, terms["hard"] + 0.5 * terms["peers"])


def test_the_peer_gets_no_gradient_and_counts_no_batch(job, state):
    batch, (own, other) = batch_of(job), [learner.model.train() for learner in state.learners]
    before = {name: value.clone() for name, value in other.state_dict().items()}
    state.task.loss(0, own, batch)[0].backward()
    assert all(parameter.grad is None for parameter in other.parameters())
    assert all(value.equal(before[name]) for name, value in other.state_dict().items())
    assert any(parameter.grad is not None for parameter in own.parameters())


def test_models_start_differently_and_without_weight_each_is_trained_alone(make_job):
    job = make_job(model=TINY, epochs=2, batch_size=5, peers=1, peer_weight=0)
    first, second = train(make_task(job, *peers_of(job)))
    assert [one.info.name for one in (first, second)] == [job.name, f"{job.name}.peer_1"]
    assert first.fingerprint != second.fingerprint
    (alone,) = train(make_task(make_job(model=TINY, epochs=2, batch_size=5)))
    for name, value in alone.weights.items():
        np.testing.assert_allclose(first.weights[name], value, rtol=1e-4, atol=1e-5)


def test_peers_that_are_asked_for_are_never_left_out(job):
    with pytest.raises(TrainingError, match="peers_of"):
        make_task(job)


def test_a_peer_changes_what_is_learned(job, make_job):
    (alone,) = train(make_task(make_job(model=TINY, epochs=3, batch_size=5)))
    assert train(make_task(job, *peers_of(job)))[0].fingerprint != alone.fingerprint


def test_a_stopped_mutual_training_continues_to_the_bit(job, tmp_path):
    class StopError(Exception):
        pass

    def stop(epoch, figures):
        if epoch == 2:
            raise StopError

    jobs = [job, *peers_of(job)]
    unbroken = train(make_task(*jobs))
    store = ArtifactStore(tmp_path, job.name)
    with pytest.raises(StopError):
        train(make_task(*jobs), [stop, stop], UnfinishedTraining(store, jobs))
    again = train(make_task(*jobs), unfinished=UnfinishedTraining(store, jobs))
    assert [one.fingerprint for one in again] == [one.fingerprint for one in unbroken]

"""A training that was stopped continues from its file, and the file is trusted only if whole."""

import logging
import re

import pytest

from mlic.caching.store import ArtifactStore
from mlic.errors import DataError
from mlic.models.options import ModelOptions
from mlic.training.train import make_task, train
from mlic.training.unfinished import UnfinishedTraining, discard_unfinished, is_unfinished

TINY = ModelOptions(
    backbone="resnet10t",
    backbone_options={"channels": [8, 8, 16, 16], "stem_width": 8},
    head_options={"dropout": 0.5},
)


class StopError(Exception):
    pass


@pytest.fixture
def job(make_job):
    return make_job(model=TINY, epochs=4, batch_size=5)


@pytest.fixture
def store(tmp_path, job):
    return ArtifactStore(tmp_path / "store", job.name)


def stop_after(last):
    def report(epoch, figures):
        if epoch == last:
            raise StopError

    return report


def stop(job, store, last=2):
    with pytest.raises(StopError):
        train(make_task(job), [stop_after(last)], UnfinishedTraining(store, [job]))


def go_on(job, store):
    """Checkpoint, and the epochs that were reported."""
    epochs = []
    unfinished = UnfinishedTraining(store, [job])
    (made,) = train(make_task(job), [lambda epoch, _: epochs.append(epoch)], unfinished)
    return made, epochs


def test_a_stopped_training_ends_as_an_unbroken_one(job, store, caplog):
    caplog.set_level(logging.INFO, logger="mlic")
    (unbroken,) = train(make_task(job))
    stop(job, store)
    again, epochs = go_on(job, store)
    assert again.fingerprint == unbroken.fingerprint
    assert epochs == [1, 2, 3, 4]  # those before too: their report may be what was lost
    assert "continues after epoch 2 of 4" in caplog.text


def test_a_training_that_was_stopped_twice_loses_nothing(job, store):
    (unbroken,) = train(make_task(job))
    stop(job, store, 1)
    stop(job, store, 3)
    assert go_on(job, store)[0].fingerprint == unbroken.fingerprint


def test_a_training_continues_within_an_epoch(job, store, make_job, monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="mlic")
    (unbroken,) = train(make_task(job))
    often = make_job(model=TINY, epochs=4, batch_size=5, save_every_steps=3)

    def save(unfinished, state):
        original(unfinished, state)
        if state.epoch == 1 and state.progress.batches:
            raise StopError

    original = UnfinishedTraining.save
    with monkeypatch.context() as patch, pytest.raises(StopError):
        patch.setattr(UnfinishedTraining, "save", lambda *both: save(*both))
        train(make_task(often), (), UnfinishedTraining(store, [often]))
    go_on_from = UnfinishedTraining(store, [job])  # when it is saved does not matter
    assert train(make_task(job), (), go_on_from)[0].fingerprint == unbroken.fingerprint
    assert "continues after epoch 1 of 4 and 1 batches" in caplog.text


def test_another_training_does_not_continue_it(job, store, make_job):
    stop(job, store)
    other = make_job(model=TINY, epochs=4, batch_size=5, learning_rate=0.02)
    (unbroken,) = train(make_task(other))
    assert go_on(other, store)[0].fingerprint == unbroken.fingerprint


@pytest.mark.parametrize("damage", ["array", "state", "cut", "text"])
def test_a_damaged_file_is_said_and_not_used(job, store, damage, caplog):
    stop(job, store)
    path = store.path("unfinished")
    content = path.read_bytes()
    if damage == "array":  # one bit, in a file that is valid otherwise
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "state":
        changed = re.sub(rb"(epoch\W+)2", rb"\g<1>3", content, count=1)
        assert changed != content
        path.write_bytes(changed)
    else:
        path.write_bytes(path.read_bytes()[:100] if damage == "cut" else b"text")
    (unbroken,) = train(make_task(job))
    again, epochs = go_on(job, store)
    assert again.fingerprint == unbroken.fingerprint and epochs == [1, 2, 3, 4]
    assert "damaged" in caplog.text


def test_a_full_disk_does_not_stop_a_training(job, store, monkeypatch, caplog):
    def fail(*_):
        raise DataError("no space left")

    monkeypatch.setattr(ArtifactStore, "save", fail)
    (unbroken,) = train(make_task(job))
    assert go_on(job, store)[0].fingerprint == unbroken.fingerprint
    assert "no space left" in caplog.text


def test_ids_of_runs_are_kept_and_the_file_can_be_discarded(job, store):
    unfinished = UnfinishedTraining(store, [job])
    unfinished.runs = {job.name: "abc"}
    with pytest.raises(StopError):
        train(make_task(job), [stop_after(1)], unfinished)
    again = UnfinishedTraining(store, [job])
    assert again.runs == {job.name: "abc"}
    assert is_unfinished(store, [job])
    discard_unfinished(store)
    assert not is_unfinished(store, [job])
    assert UnfinishedTraining(store, [job]).runs == {}
    assert not list(store.folder.glob("*.safetensors"))

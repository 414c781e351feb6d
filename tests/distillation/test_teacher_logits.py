"""Logits of teachers on disk: precision, and when they are written again."""

from dataclasses import replace

import numpy as np
import pytest

from mlic.caching.store import ArtifactStore
from mlic.distillation.teacher_logits import write_all_logits, write_logits
from mlic.training.predict import predict_training_views
from mlic.training.train import make_task, train


@pytest.fixture
def job(make_job):
    return make_job(name="teachers.cgp_0", role="teacher")


def write(job, checkpoint, folder, dtype="float32"):
    store = ArtifactStore(folder, job.name)
    return write_logits(job, checkpoint, predict_training_views(job, checkpoint), store, dtype)


def test_written_logits_are_the_predicted_ones(job, tmp_path):
    (checkpoint,) = train(make_task(job))
    written = write(job, checkpoint, tmp_path)
    assert np.array_equal(written.values, np.stack(list(predict_training_views(job, checkpoint))))
    assert written.fingerprint == checkpoint.fingerprint and written.views == job.views
    assert np.array_equal(written.ids, job.train_ids) and written.space == job.labels.space


def test_half_precision_stays_within_its_tolerance(job, tmp_path):
    (checkpoint,) = train(make_task(job))
    single, half = (
        np.array(write(job, checkpoint, tmp_path, f"float{bits}").values) for bits in (32, 16)
    )
    assert half.dtype == np.float16 and half.nbytes * 2 == single.nbytes
    assert (np.abs(half.astype(np.float32) - single) <= np.abs(single) / 2048).all()
    probability = [1 / (1 + np.exp(-np.asarray(z, dtype=np.float64))) for z in (single, half)]
    assert np.abs(probability[0] - probability[1]).max() <= 1.1e-4


def test_logits_are_reused_only_for_the_same_teacher_and_precision(job, tmp_path):
    store, views = ArtifactStore(tmp_path, job.name), np.ones((2, 24, 4), np.float32)
    (one,), (other,) = (train(make_task(j)) for j in (job, replace(job, seed=4)))
    write_logits(job, one, views, store, "float16")
    assert (write_logits(job, one, iter(()), store, "float16").values == 1).all()
    for teacher, dtype in ((other, "float16"), (one, "float32")):
        assert (write_logits(job, teacher, 2 * views, store, dtype).values == 2).all()


def test_several_teachers_are_predicted_once_and_only_if_needed(job, tmp_path):
    jobs = [replace(job, name=f"teachers.cgp_{i}", seed=i) for i in range(2)]
    teachers = [train(make_task(one))[0] for one in jobs]
    stores = [ArtifactStore(tmp_path / one.name, one.name) for one in jobs]
    columns = [list(predict_training_views(*pair)) for pair in zip(jobs, teachers, strict=True)]
    views, consumed = list(zip(*columns, strict=True)), []

    def predict():
        for view in views:
            consumed.append(1)
            yield view

    first = write_all_logits(jobs, teachers, predict(), stores, "float16")
    for number, own in enumerate(first):
        assert own.teacher == jobs[number].name and own.fingerprint == teachers[number].fingerprint
        expected = np.stack([view[number] for view in views]).astype(np.float16)
        assert np.array_equal(own.values, expected)
    write_all_logits(jobs, teachers, predict(), stores, "float16")
    assert len(consumed) == 2
    stores[1].array_path("logits").unlink()
    again = write_all_logits(jobs, teachers, predict(), stores, "float16")
    assert len(consumed) == 4 and np.array_equal(again[1].values, first[1].values)
    with pytest.raises(ValueError):
        write_all_logits(jobs, teachers, iter(views[:1]), stores, "float32")
    assert not list(tmp_path.rglob("*.partial"))

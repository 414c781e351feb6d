"""Finished trainings are loaded from their stores, and only missing ones are trained."""

import pytest

from mlic.caching.store import ArtifactStore
from mlic.tracking.trainings import train_or_reuse, train_or_reuse_all
from mlic.training.train import make_task, train

NAMES = ["teachers.cgp_0", "teachers.cgp_1", "teachers.cgp_2"]


class Trainer:
    """Trains jobs one by one, and remembers which."""

    def __init__(self):
        self.trained = []

    def __call__(self, jobs, reports):
        assert len(jobs) == len(reports)
        self.trained.append([job.name for job in jobs])
        pairs = zip(jobs, reports, strict=True)
        return [train(make_task(job), [report])[0] for job, report in pairs]


@pytest.fixture
def jobs(make_job):
    return [
        make_job(name=name, role="teacher", seed=seed) for seed, name in enumerate(NAMES, start=1)
    ]


@pytest.fixture
def stores(tmp_path):
    return [ArtifactStore(tmp_path / name, name) for name in NAMES]


@pytest.fixture
def trainer():
    return Trainer()


def fingerprints(checkpoints):
    return [checkpoint.fingerprint for checkpoint in checkpoints]


def test_finished_trainings_are_loaded_in_the_order_of_the_jobs(jobs, stores, trainer):
    first = train_or_reuse_all(jobs, stores, trainer)
    assert [checkpoint.info.name for checkpoint in first] == NAMES
    again = train_or_reuse_all(jobs[::-1], stores[::-1], trainer)
    assert trainer.trained == [NAMES]
    assert fingerprints(again) == fingerprints(first)[::-1]


def test_only_missing_trainings_are_trained(jobs, stores, trainer):
    first = train_or_reuse_all(jobs, stores, trainer)
    stores[1].path("checkpoint").unlink()
    again = train_or_reuse_all(jobs, stores, trainer)
    assert trainer.trained == [NAMES, NAMES[1:2]]
    assert fingerprints(again) == fingerprints(first)


def test_all_inseparable_trainings_are_trained_if_one_is_missing(jobs, stores, trainer):
    train_or_reuse_all(jobs, stores, trainer, inseparable=True)
    stores[1].path("checkpoint").unlink()
    train_or_reuse_all(jobs, stores, trainer, inseparable=True)
    train_or_reuse_all(jobs, stores, trainer, inseparable=True)
    assert trainer.trained == [NAMES, NAMES]


def test_changed_job_is_trained_again(jobs, stores, trainer, make_job):
    train_or_reuse_all(jobs, stores, trainer)
    changed = make_job(name=NAMES[2], role="teacher", seed=99)
    train_or_reuse_all([*jobs[:2], changed], stores, trainer)
    assert trainer.trained == [NAMES, NAMES[2:]]


def test_damaged_checkpoint_is_trained_again(jobs, stores, trainer):
    train_or_reuse_all(jobs, stores, trainer)
    stores[0].path("checkpoint").write_bytes(b"half a file")
    train_or_reuse_all(jobs, stores, trainer)
    assert trainer.trained == [NAMES, NAMES[:1]]


def test_single_training_is_stored_in_the_folder_of_its_name(make_job, tmp_path):
    first = train_or_reuse(make_job(), tmp_path)
    assert (tmp_path / "baseline" / "checkpoint.safetensors").is_file()
    again = train_or_reuse(make_job(), tmp_path)
    assert again.info == first.info  # it was loaded: its duration is the same too

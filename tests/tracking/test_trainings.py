"""Finished trainings are loaded from their stores, and only missing ones are trained."""

import os
from contextlib import contextmanager

import pytest
from mlflow import MlflowClient

from mlic.caching.store import ArtifactStore
from mlic.tracking.runs import close_parent, open_parent
from mlic.tracking.settings import read_settings
from mlic.tracking.trainings import train_or_reuse, train_or_reuse_all
from mlic.training.state import Learner, TrainingState
from mlic.training.tasks.mutual import MutualTask
from mlic.training.train import make_task, train
from mlic.training.unfinished import UnfinishedTraining, is_unfinished

NAMES = ["teachers.cgp_0", "teachers.cgp_1", "teachers.cgp_2"]


class Trainer:
    """Trains jobs one by one, and remembers which."""

    def __init__(self):
        self.trained = []

    def __call__(self, jobs, reports, unfinished):
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


def train_and_stop(jobs, stores, monkeypatch, last):
    """Train side by side, and stop when the checkpoint of one of the jobs is to be stored."""

    def save(store, kind, *arguments):
        if kind == "checkpoint" and store.name == last:
            raise KeyboardInterrupt
        return original(store, kind, *arguments)

    original = ArtifactStore.save
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ArtifactStore, "save", save)
        train_or_reuse_all(jobs, stores, train_together)


def train_together(jobs, reports, unfinished):
    return train(MutualTask(jobs), reports, unfinished)


@pytest.mark.parametrize("last", NAMES)
def test_a_stop_while_checkpoints_are_stored_costs_no_epoch(
    jobs, stores, monkeypatch, tmp_path, last
):
    train_and_stop(jobs, stores, monkeypatch, last)
    assert is_unfinished(stores[0], jobs)
    steps = []
    monkeypatch.setattr(Learner, "step", lambda _: steps.append(1))
    again = train_or_reuse_all(jobs, stores, train_together)
    assert not steps
    monkeypatch.undo()
    fresh = [ArtifactStore(tmp_path / "fresh" / name, name) for name in NAMES]
    assert fingerprints(again) == fingerprints(train_or_reuse_all(jobs, fresh, train_together))


def test_no_file_of_a_training_is_left_if_it_was_killed_just_before_its_end(jobs, stores, trainer):
    train_or_reuse_all(jobs, stores, trainer)
    state = TrainingState(make_task(jobs[0]), jobs[0].options)
    UnfinishedTraining(stores[0], jobs).save(state)
    train_or_reuse_all(jobs, stores, trainer)
    assert not list(stores[0].folder.glob("unfinished*"))


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


class StopError(BaseException):
    """Ends a training as a signal does."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """One database for all tests of the module, because MLflow takes seconds to create one."""
    return read_settings({"sampling_seconds": 0.2}, tmp_path_factory.mktemp("project"))


@contextmanager
def open_run(settings):
    """Open a parent run, as a run of the pipeline does."""
    run_id = open_parent(settings, "all", {}, {})
    try:
        yield run_id
    finally:
        close_parent("FINISHED")


def runs_of(settings, job):
    client = MlflowClient(tracking_uri=settings.tracking_uri)
    experiments = [one.experiment_id for one in client.search_experiments()]
    found = client.search_runs(experiments, f"attributes.run_name = '{job.name}'")
    return client, found


def steps_of(client, run):
    return sorted(one.step for one in client.get_metric_history(run.info.run_id, "loss.train"))


def stop_in_epoch(last):
    """Replacement of `UnfinishedTraining.save`: stops before the epoch is reported."""
    save = UnfinishedTraining.save

    def save_and_stop(self, state):
        save(self, state)
        if state.epoch == last:
            raise StopError

    return save_and_stop


@pytest.mark.parametrize("last", [1, 2])
def test_a_stopped_training_continues_in_its_mlflow_run(make_job, tmp_path, settings, last):
    """No epoch is missing and none is there twice, although a report was lost."""
    job = make_job(name=f"stopped_{last}", epochs=4)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(StopError), open_run(settings):
        patch.setattr(UnfinishedTraining, "save", stop_in_epoch(last))
        train_or_reuse(job, tmp_path)
    with open_run(settings) as parent:
        made = train_or_reuse(job, tmp_path)
    client, (run,) = runs_of(settings, job)
    assert run.info.status == "FINISHED" and run.data.tags["mlflow.parentRunId"] == parent
    assert steps_of(client, run) == [1, 2, 3, 4]
    assert made.fingerprint == train(make_task(job))[0].fingerprint
    assert not (tmp_path / job.name / "unfinished.safetensors").exists()


@pytest.mark.slow
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two processes need two cores")
def test_several_processes_log_to_one_run_and_continue_in_it(make_job, tmp_path, settings):
    common = {"name": "divided", "epochs": 3}
    with pytest.MonkeyPatch.context() as patch, pytest.raises(StopError), open_run(settings):
        patch.setattr(UnfinishedTraining, "save", stop_in_epoch(1))
        train_or_reuse(make_job(**common), tmp_path)
    with open_run(settings):
        made = train_or_reuse(make_job(devices=2, **common), tmp_path)
    client, (run,) = runs_of(settings, make_job(**common))
    assert run.info.status == "FINISHED"
    assert steps_of(client, run) == [1, 2, 3]
    with open_run(settings):  # whatever number of devices: the same training
        assert train_or_reuse(make_job(**common), tmp_path).info == made.info


def test_a_run_that_was_deleted_is_replaced(make_job, tmp_path, settings):
    job = make_job(name="deleted", epochs=3)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(StopError), open_run(settings):
        patch.setattr(UnfinishedTraining, "save", stop_in_epoch(2))
        train_or_reuse(job, tmp_path)
    client, (run,) = runs_of(settings, job)
    client.delete_run(run.info.run_id)
    with open_run(settings):
        train_or_reuse(job, tmp_path)
    client, (run,) = runs_of(settings, job)
    assert steps_of(client, run) == [1, 2, 3]

"""Only runs whose process is gone from this host are closed."""

import json
import os
import subprocess
import sys

import pytest
from mlflow import MlflowClient

from mlic.tracking.abandoned import close_abandoned, close_left_open, process_tags
from mlic.tracking.settings import read_settings
from mlic.tracking.store import open_experiment


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A client and an experiment."""
    settings = read_settings({}, tmp_path_factory.mktemp("project"))
    client = MlflowClient(tracking_uri=settings.tracking_uri)
    return client, open_experiment(client, settings)


@pytest.fixture(scope="module")
def ended():
    """Tags of a process that has ended."""
    script = (
        "import json; from mlic.tracking.abandoned import process_tags;"
        "print(json.dumps(process_tags()))"
    )
    made = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return json.loads(made.stdout)


def status_after(store, tags):
    client, experiment = store
    run_id = client.create_run(experiment, tags=tags, run_name="a").info.run_id
    close_abandoned(client, experiment)
    return client.get_run(run_id).info.status


def test_a_run_of_a_process_that_ended_is_closed(store, ended):
    assert status_after(store, ended) == "KILLED"


def test_a_run_whose_process_number_is_used_again_is_closed(store):
    earlier = f"{float(process_tags()['mlic.process_start']) - 100:.2f}"
    assert status_after(store, {**process_tags(), "mlic.process_start": earlier}) == "KILLED"


def test_runs_of_living_processes_other_hosts_and_other_programs_stay_open(store, ended):
    assert status_after(store, process_tags()) == "RUNNING"
    assert status_after(store, {**ended, "mlic.host": "elsewhere"}) == "RUNNING"
    assert status_after(store, {}) == "RUNNING"
    assert int(process_tags()["mlic.process"]) == os.getpid()


def test_runs_that_were_left_open_are_closed_without_opening_a_new_one(tmp_path, ended):
    settings = read_settings({}, tmp_path)
    close_left_open(settings)
    assert not list(tmp_path.iterdir())  # no database is made
    client = MlflowClient(tracking_uri=settings.tracking_uri)
    experiment = open_experiment(client, settings)
    open_run, closed = (client.create_run(experiment, tags=tags) for tags in ({}, ended))
    close_left_open(settings)
    states = [client.get_run(run.info.run_id).info.status for run in (open_run, closed)]
    assert states == ["RUNNING", "KILLED"]


def test_a_damaged_database_does_not_disturb_a_run_that_does_not_train(tmp_path):
    (tmp_path / "mlflow.db").write_text("hello" * 1000)
    close_left_open(read_settings({}, tmp_path))

"""MLflow runs: parents and children, what they hold, and how they end."""

import base64
import errno
import json
import math
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mlic.errors import TrainingError
from mlic.tracking.runs import (
    close_parent,
    open_parent,
    parent_run,
    provenance,
    tracked_training,
)
from mlic.tracking.settings import TrackingSettings, read_settings
from mlic.tracking.store import open_experiment


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """One database for all tests of the module, because MLflow takes seconds to create one."""
    return read_settings({"sampling_seconds": 0.2}, tmp_path_factory.mktemp("project"))


@pytest.fixture
def client(settings):
    return MlflowClient(tracking_uri=settings.tracking_uri)


@pytest.fixture
def parent(settings):
    run_id = open_parent(
        settings,
        "all",
        {"teacher": {"epochs": 3}, "text": "x" * 9000, "many": {str(i): i for i in range(150)}},
        {"mlflow.user": "ada", "mlflow.source.git.commit": "abc123", "num_parts": "3", "role": "x"},
    )
    yield run_id
    close_parent("FINISHED")


def children(client, parent):
    experiment = client.get_run(parent).info.experiment_id
    return client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")


def only_child(client, parent):
    (run,) = children(client, parent)
    return run


# The tree of runs


def test_parent_holds_flat_parameters(client, parent):
    run = client.get_run(parent)
    assert run.info.status == "RUNNING"
    assert run.data.params["teacher.epochs"] == "3"
    assert run.data.params["many.149"] == "149"
    assert len(run.data.params["text"]) == 500


def test_child_holds_what_a_training_logs(client, parent, settings, tmp_path):
    note = tmp_path / "note.txt"
    note.write_text("done")
    tags = {"strategy": "cgp", "role": "teacher"}
    with tracked_training("cgp_0", {"loss": {"gamma": 4}}, tags) as run:
        for epoch in range(3):
            run.log_epoch(epoch, {"train/loss": 1 / (epoch + 1), "val/mAP": math.nan})
        run.log_file(note, "notes")
    child = only_child(client, parent)
    assert child.info.status == "FINISHED"
    assert child.info.run_name == "cgp_0"
    assert child.data.params == {"loss.gamma": "4"}
    inherited = {
        "mlflow.user": "ada",
        "mlflow.source.git.commit": "abc123",
        "num_parts": "3",
        **tags,
    }
    assert inherited.items() <= child.data.tags.items()
    history = client.get_metric_history(child.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in history] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert "val/mAP" not in child.data.metrics
    root = Path(settings.tracking_uri.removeprefix("sqlite:///")).parent
    assert (root / child.info.artifact_uri / "notes/note.txt").read_text() == "done"


def test_new_experiment_links_to_its_saved_views(client, parent):
    experiment = client.get_experiment(client.get_run(parent).info.experiment_id)
    note = experiment.tags["mlflow.note.content"]
    states = {}
    for key in re.findall(r"viewStateShareKey=([\w-]+)", note):
        view = json.loads(experiment.tags[f"mlflow.sharedViewState.{key}"])
        kind, packed = view["state"].split(";")
        assert kind == "deflate" and f"[{view['name']}]" in note
        states[key] = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert note.count(f"#/experiments/{experiment.experiment_id}/runs?") == len(states) == 2
    charts = [chart["metricKey"] for chart in states["mlic-curves"]["compareRunCharts"]]
    assert charts[0] == "mAP.validation" and "loss.train" in charts
    assert "metrics.`mAP.gain`" in states["mlic-gains"]["selectedColumns"]


def test_older_experiment_gets_missing_tags_once(client, settings):
    older = client.create_experiment("older")
    existing = {"mlflow.note.content": "ours", "mlflow.sharedViewState.mlic-curves": "changed"}
    for key, value in existing.items():
        client.set_experiment_tag(older, key, value)

    def tags():
        assert open_experiment(client, replace(settings, experiment="older")) == older
        return client.get_experiment(older).tags

    first = tags()
    assert existing.items() <= first.items()
    assert "Gain of each run" in first["mlflow.sharedViewState.mlic-gains"]
    client.set_experiment_tag(older, "mlflow.sharedViewState.mlic-gains", "")
    client.delete_experiment_tag(older, "mlflow.sharedViewState.mlic-curves")
    last = tags()
    assert last["mlflow.sharedViewState.mlic-gains"] == ""
    assert "mlflow.sharedViewState.mlic-curves" not in last


def test_address_of_artifacts_is_relative_to_the_database(client, parent):
    info = client.get_run(parent).info
    assert info.artifact_uri == f"mlruns/{info.experiment_id}/{parent}/artifacts"


def test_system_metrics_are_sampled(client, parent):
    with tracked_training("short", {}, {}):
        pass
    with tracked_training("budget_matched_baseline", {}, {}):
        time.sleep(0.8)
    runs = {run.info.run_name: run for run in children(client, parent)}
    name = "system/cpu_utilization_percentage"
    assert len(client.get_metric_history(runs["short"].info.run_id, name)) == 1
    assert len(client.get_metric_history(runs["budget_matched_baseline"].info.run_id, name)) > 1


def test_figures_are_logged_to_the_parent(client, parent):
    parent_run().log_epoch(0, {"gain.mAP": 0.02})
    assert client.get_run(parent).data.metrics == {"gain.mAP": 0.02}


# How runs end


def test_error_closes_the_run_as_failed(client, parent):
    with pytest.raises(ValueError, match="diverged"), tracked_training("a", {}, {}):
        raise ValueError("diverged")
    assert only_child(client, parent).info.status == "FAILED"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_other_exits_close_the_run_as_killed(stop, client, parent):
    with pytest.raises(stop), tracked_training("a", {}, {}):
        raise stop
    assert only_child(client, parent).info.status == "KILLED"


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_parent_is_closed_once(status, settings, client):
    run_id = open_parent(settings, "all", {}, {})
    close_parent(status)
    close_parent("FINISHED")
    assert client.get_run(run_id).info.status == status
    assert not [name for name in os.environ if name.startswith("MLIC_MLFLOW")]


# Several processes

TRAIN_NEXT_TO_ANOTHER = """
import os, sys, time
from mlflow import MlflowClient
from mlic.tracking.runs import tracked_training
parent, name = os.environ["MLIC_MLFLOW_RUN"], sys.argv[1]
client = MlflowClient(tracking_uri=os.environ["MLIC_MLFLOW_URI"])
experiment = client.get_run(parent).info.experiment_id
with tracked_training(name, {"name": name}, {}) as run:
    names, epoch = [], 0
    while len(names) < 2 or epoch < 20:
        run.log_epoch(epoch, {"loss": epoch})
        found = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")
        names = [other.info.run_name for other in found]
        epoch += 1
    print(epoch, flush=True)
    time.sleep(60)
"""


def test_runs_of_processes_that_signals_kill_are_closed_as_killed(client, parent):
    expected = {signal.SIGINT: -signal.SIGINT, signal.SIGTERM: 143}
    programs = {
        sig: subprocess.Popen(
            [sys.executable, "-c", TRAIN_NEXT_TO_ANOTHER, sig.name],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for sig in expected
    }
    epochs = {sig.name: int(program.stdout.readline()) for sig, program in programs.items()}
    assert {run.info.status for run in children(client, parent)} == {"RUNNING"}
    for sig, program in programs.items():
        program.send_signal(sig)
        program.communicate(timeout=60)
        assert program.returncode == expected[sig]
    runs = {run.info.run_name: run for run in children(client, parent)}
    assert set(runs) == {"SIGINT", "SIGTERM"}
    for name, run in runs.items():
        assert run.info.status == "KILLED"
        assert run.data.params == {"name": name}
        history = client.get_metric_history(run.info.run_id, "loss")
        assert [point.step for point in history] == list(range(epochs[name]))


def terminate_itself():
    with tracked_training("first", {}, {}):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)


def train_next():
    with tracked_training("second", {}, {}):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="forks a process that has threads")
def test_worker_that_was_stopped_takes_no_other_task(client, parent):
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        first, second = pool.submit(terminate_itself), pool.submit(train_next)
        for future in (first, second):
            with pytest.raises(BrokenProcessPool):
                future.result(timeout=60)
    child = only_child(client, parent)
    assert (child.info.run_name, child.info.status) == ("first", "KILLED")


def kill_itself():
    with tracked_training("first", {}, {}):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="forks a process that has threads")
def test_training_of_a_worker_that_was_killed_is_closed_with_the_parent(client, parent):
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, context) as pool, pytest.raises(BrokenProcessPool):
        pool.submit(kill_itself).result(timeout=60)
    assert only_child(client, parent).info.status == "RUNNING"
    close_parent("FAILED")
    assert only_child(client, parent).info.status == "KILLED"
    assert client.get_run(parent).info.status == "FAILED"


# Without a store


def test_mlflow_is_not_imported_without_a_parent():
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from mlic.tracking.runs import close_parent, parent_run, tracked_training\n"
        "with tracked_training('student', {}, {}) as run:\n"
        "    run.log_epoch(0, {'loss': 1.0})\n"
        "    run.log_file(Path('nowhere'), 'x')\n"
        "parent_run().log_epoch(0, {'loss': 1.0})\n"
        "close_parent('FINISHED')\n"
        "assert not {'mlflow', 'torch', 'kedro'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_unreachable_server_is_named(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrainingError) as caught:
        open_parent(TrackingSettings("http://127.0.0.1:9"), "all", {}, {})
    assert caught.value.fields == {"name": "http://127.0.0.1:9"}


def test_file_store_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="mlruns"):
        open_parent(TrackingSettings(str(tmp_path / "mlruns")), "all", {}, {})


def test_deleted_experiment_is_named(settings, client):
    gone = TrackingSettings(settings.tracking_uri, "gone")
    client.delete_experiment(client.create_experiment("gone"))
    with pytest.raises(TrainingError, match="restore"):
        open_parent(gone, "all", {}, {})


def test_store_that_fails_later_causes_a_warning_only(parent, monkeypatch, caplog):
    def refuse(*_, **__):
        raise MlflowException("disk full")

    with tracked_training("a", {}, {}) as run:
        monkeypatch.setattr(MlflowClient, "log_batch", refuse)
        run.log_epoch(7, {"loss": 1.0})
    assert "epoch 7" in caplog.text
    assert "disk full" in caplog.text


def test_a_disk_that_is_full_costs_the_attached_file_only(parent, monkeypatch, caplog, tmp_path):
    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "file").write_text("text")
    with tracked_training("a", {}, {}) as run:
        monkeypatch.setattr("shutil.copyfileobj", refuse)
        monkeypatch.setattr("shutil.copyfile", refuse)
        run.log_file(tmp_path / "file", "folder")
    assert f"could not store the file {tmp_path / 'file'}: [Errno" in caplog.text


def test_a_user_without_a_name_is_known_by_number(monkeypatch):
    def fail():
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("getpass.getuser", fail)
    assert provenance()["mlflow.user"] == str(os.getuid())

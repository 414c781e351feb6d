"""Runs on a Ray cluster: the same results as one process, also if a machine is lost."""

import contextlib
import json
import logging
import operator
import shutil
import threading
import time
from concurrent.futures import wait
from types import SimpleNamespace

import psutil
import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner.task import Task
from mlflow import MlflowClient

from mlic.config.cluster import RayOptions
from mlic.errors import DataError, TrainingError
from mlic.runners import RayRunner, SequentialRunner, ray_runner
from mlic.runners.parcel import Place
from mlic.runners.ray_cluster import Machine, Needs

# --- a cluster that is this process ---------------------------------------------------------------


class Lost(Exception):
    """Ray's error about a process that has ended."""


class TaskFailed(Exception):
    """Ray's error about a function that has failed."""


class FakeRay:
    """Calls a function when its result is asked for; the first calls are lost."""

    exceptions = SimpleNamespace(
        **dict.fromkeys(
            (
                *("WorkerCrashedError", "NodeDiedError", "LocalRayletDiedError"),
                *("OutOfMemoryError", "ObjectLostError"),
            ),
            Lost,
        ),
        RayTaskError=TaskFailed,
    )

    def __init__(self, lost=0):
        self.lost, self.asked, self.cancelled, self._lock = lost, [], [], threading.Lock()

    def remote(self, function):
        def options(**options):
            def submit(*arguments):
                self.asked.append(options)
                return lambda: function(*arguments)

            return SimpleNamespace(remote=submit)

        return SimpleNamespace(options=options)

    def get(self, reference):
        with self._lock:
            self.lost -= 1
            if self.lost >= 0:
                raise Lost
        try:
            return reference()
        except Exception as error:
            failed = TaskFailed(str(error))
            failed.cause = error
            raise failed from None

    def cancel(self, reference, force):
        self.cancelled.append(force)


def refuse(_):
    raise DataError("no", path="x")


TWO = Pipeline(
    [
        Node(operator.neg, "a", "b", name="first", tags="training"),
        Node(operator.neg, "b", "c", name="second"),
    ]
)


@pytest.fixture
def catalog(tmp_path):
    def catalog():
        data = tmp_path / "data"
        names = [*"abc", *(f"x{i}" for i in range(6))]
        entry = {"type": "json.JSONDataset"}
        found = {name: {**entry, "filepath": f"{data}/{name}.json"} for name in names}
        place = {"type": "mlic.datasets.DirectoryDataset", "filepath": str(data / ".records")}
        made = DataCatalog.from_config({**found, "node_records": place})
        made["params:data_folder"], made["params:ray"] = str(data), {"retries": 2}
        made["params:training"] = {"epochs": 1, "batch_size": 8, "learning_rate": 0.1, "threads": 3}
        return made

    catalog().save("a", 5)
    return catalog


@pytest.fixture
def cluster(monkeypatch):
    """A cluster of one machine; returns what stands for Ray."""

    def cluster(**options):
        ray = FakeRay(**options)
        machines = [Machine("1", "here", "127.0.0.1", 4.0, 1.0)]
        monkeypatch.setattr(ray_runner, "connected", lambda _: contextlib.nullcontext())
        monkeypatch.setattr(ray_runner, "list_machines", lambda: machines)
        monkeypatch.setattr(ray_runner, "require_travel", lambda *_: None)
        monkeypatch.setattr(ray_runner, "import_ray", lambda: ray)
        return ray

    return cluster


def test_nodes_ask_for_what_they_need_and_are_recorded_here(cluster, catalog):
    ray = cluster()
    RayRunner().run(TWO, catalog())
    assert catalog().load("c") == 5
    assert ray.asked == [
        {"name": "first", "max_retries": 0, "num_cpus": 3.0, "num_gpus": 1.0},
        {"name": "second", "max_retries": 0, "num_cpus": 1.0, "num_gpus": 0.0},
    ]
    RayRunner().run(TWO, catalog())
    SequentialRunner().run(TWO, catalog())
    assert len(ray.asked) == 2


def test_node_that_is_up_to_date_after_all_is_given_to_no_machine(cluster, catalog):
    ray = cluster()
    RayRunner().run(TWO, catalog())
    (first, _) = TWO.nodes
    place = Place(catalog()["b"]._filepath.parent)
    pool = ray_runner._Nodes(1, lambda *_: False, place, Needs(1.0, 0.0), RayOptions())
    assert pool.submit(Task(first, catalog(), is_async=False)).result(timeout=0) is first
    assert len(ray.asked) == 2


def test_lost_node_is_tried_again(cluster, catalog, caplog):
    ray = cluster(lost=2)
    with caplog.at_level(logging.WARNING):
        RayRunner().run(TWO, catalog())
    assert [one["name"] for one in ray.asked] == ["first"] * 3 + ["second"]
    assert "first: its machine or process was lost in try 2 of 3 (Lost)" in caplog.messages
    assert catalog().load("c") == 5


def test_node_that_is_lost_too_often_is_one_error(cluster, catalog):
    cluster(lost=3)
    with pytest.raises(TrainingError) as error:
        RayRunner().run(TWO, catalog())
    assert error.value.fields == {"name": "first"}
    assert not catalog().exists("b")


def test_error_of_a_node_arrives_as_it_was_raised_and_is_not_tried_again(cluster, catalog):
    ray = cluster()
    with pytest.raises(DataError) as error:
        RayRunner().run(Pipeline([Node(refuse, "a", "b", name="r")]), catalog())
    assert error.value.fields == {"path": "x"} and str(error.value) == "no"
    assert len(ray.asked) == 1


def test_data_without_a_file_pass_through_memory(cluster, catalog):
    cluster()
    nodes = [Node(operator.neg, "a", "x", name="f"), Node(operator.neg, "x", "c", name="g")]
    RayRunner().run(Pipeline(nodes), catalog())
    assert catalog().load("c") == 5


def test_changes_are_looked_for_by_one_thread_at_a_time(cluster, catalog, monkeypatch):
    """CPython parses code in one thread at a time only; this is so until 3.12."""
    cluster()
    before, inside, most = ray_runner.NodeCache._before, [], []

    def slow_before(*arguments):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.005)
        inside.pop()
        return before(*arguments)

    monkeypatch.setattr(ray_runner.NodeCache, "_before", slow_before)
    nodes = [Node(operator.neg, "a", f"x{i}", name=f"n{i}") for i in range(6)]
    RayRunner().run(Pipeline(nodes), catalog())
    assert max(most, default=0) == 1


def test_signal_stops_what_runs_on_other_machines(cluster, catalog, tmp_path):
    ray, started, cancelled = cluster(), threading.Event(), threading.Event()

    def get(reference):
        started.set()
        cancelled.wait(20)
        raise Lost

    ray.get = get
    ray.cancel = lambda reference, force: cancelled.set()
    place = Place(tmp_path / "data")
    pool = ray_runner._Nodes(1, lambda *_: True, place, Needs(1.0, 0.0), RayOptions())
    with pytest.raises(KeyboardInterrupt), pool:
        future = pool.submit(Task(TWO.nodes[0], catalog(), is_async=False))
        assert started.wait(20)
        raise KeyboardInterrupt
    wait([future])
    assert isinstance(future.exception(), Lost)  # and no second try
    assert len(ray.asked) == 1


# --- a real cluster -------------------------------------------------------------------------------

PARAMETERS = {
    "synthetic": {"num_images": 160},
    "training": {
        **{"epochs": 2, "teacher_epoch_factor": 1, "student_epoch_factor": 1},
        "threads": 1,
        "overrides": {"baseline": {"epochs": 12}},  # long enough to be lost in the middle
    },
    "partition": {"num_parts": 2},
    "teachers": {"mode": "separate"},
}


@pytest.fixture
def real_cluster(monkeypatch):
    """A head that only coordinates, and two machines; all are processes here."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'mlic[ray]'")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.machines = [cluster.add_node(num_cpus=1) for _ in range(2)]
    yield cluster
    cluster.shutdown()


def lose_machine_of(node, machines):
    """Kill the machine that runs a node; its processes get no signal that they could handle."""
    for machine in machines:
        (raylet,) = machine.all_processes["raylet"]
        parent = psutil.Process(raylet.process.pid)
        family = [*parent.children(recursive=True), parent]
        # Ray names its processes by what they run
        if any(f"ray::{node}" in " ".join(one.cmdline()) for one in family):
            for process in family:
                process.kill()
            return True
    return False


def lose_machine_in_training(machines, state, lost_folder, outcome):
    """Wait until a training has saved its state, then lose its machine and the copies on it."""
    deadline = time.monotonic() + 300
    while not state.exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    outcome.append(lose_machine_of("baseline.train", machines))
    if lost_folder is not None:
        shutil.rmtree(lost_folder, ignore_errors=True)


def load_summary(project):
    summary = json.loads((project / "data/08_reporting/base/summary.json").read_text())
    return {key: value for key, value in summary.items() if key != "seconds"}


@pytest.fixture(scope="module")
def expected(tmp_path_factory, copy_project, run_project):
    """Summary of the same run in one process."""
    project = copy_project(tmp_path_factory.mktemp("sequential"))
    run_project(project, **PARAMETERS)
    return load_summary(project)


@pytest.mark.slow
@pytest.mark.parametrize("has_storage", [False, True], ids=["one folder", "storage"])
def test_run_that_loses_a_machine_has_the_same_summary(
    real_cluster, expected, tmp_path, copy_project, run_project, caplog, has_storage
):
    project = copy_project(tmp_path / "project")
    ray, store, lost = {"address": real_cluster.address}, project / "data", None
    if has_storage:
        store, lost = tmp_path / "shared", tmp_path / "copies"
        ray |= {"storage": f"file://{store}", "copies": str(lost)}
    state = store / "06_models/base/store/baseline/unfinished.safetensors"
    outcome = []
    arguments = real_cluster.machines, state, lost, outcome
    watcher = threading.Thread(target=lose_machine_in_training, args=arguments)
    watcher.start()
    with caplog.at_level(logging.WARNING):
        run_project(project, runner=RayRunner(), ray=ray, **PARAMETERS)
    watcher.join()
    assert outcome == [True]
    assert any("baseline.train: its machine or process was lost" in m for m in caplog.messages)
    assert load_summary(project) == expected

    # the child that was lost was continued: there is no second one
    client = MlflowClient(f"sqlite:///{project}/mlflow.db")
    experiment = client.get_experiment_by_name("mlic").experiment_id
    found = client.search_runs([experiment])
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in found if run not in parents]
    assert len(parents) == 1 and {run.info.status for run in found} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parents[0].info.run_id}
    names = sorted(run.info.run_name for run in children)
    assert names == sorted(
        ["baseline", "student", *(f"teachers.{s}gp_{k}" for s in "cd" for k in (0, 1))]
    )

    # whichever runner comes next finds everything up to date
    caplog.clear()
    with caplog.at_level(logging.INFO):
        run_project(project, runner=SequentialRunner(), **PARAMETERS)
    # all but the report, which lists the parameters, of which ray.address is one
    assert "53 of 54 nodes are up to date" in caplog.messages

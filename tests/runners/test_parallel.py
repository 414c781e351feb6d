"""Nodes in spawned processes: GPUs, what is skipped and recorded, and processes that are killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing import get_context

import psutil
import pytest
from kedro.io import DataCatalog
from kedro.io.data_catalog import SharedMemoryDataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner.task import Task

from mlic.errors import TrainingError
from mlic.runners import ParallelRunner, SequentialRunner, parallel
from mlic.training.options import TrainingOptions


def report_worker(number):
    return [os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES"), number]


def fail(_):
    raise ValueError("on purpose")


def kill_itself(_):
    os.kill(os.getpid(), signal.SIGKILL)


SIDE_BY_SIDE = Pipeline([Node(report_worker, "a", f"b{i}", name=f"n{i}") for i in range(4)])


@pytest.fixture
def catalog(tmp_path):
    def catalog(kind=SharedMemoryDataCatalog):
        names = ["a", *(f"b{i}" for i in range(4))]
        config = {
            name: {"type": "json.JSONDataset", "filepath": str(tmp_path / f"{name}.json")}
            for name in names
        }
        place = {"type": "mlic.datasets.DirectoryDataset", "filepath": str(tmp_path / "records")}
        return kind.from_config({**config, "node_records": place})

    (tmp_path / "a.json").write_text("1")
    return catalog


@pytest.fixture
def outputs(tmp_path):
    return lambda: [json.loads((tmp_path / f"b{i}.json").read_text()) for i in range(4)]


def test_each_worker_has_its_gpu_and_records_its_nodes(catalog, outputs, monkeypatch):
    monkeypatch.setattr(parallel, "visible_gpus", lambda: ["3", "GPU-5a"])
    ParallelRunner().run(SIDE_BY_SIDE, catalog())
    first = outputs()
    workers = {pid: gpu for pid, gpu, _ in first}
    assert len(workers) <= 2 and os.getpid() not in workers
    assert set(workers.values()) <= {"3", "GPU-5a"} and len(set(workers.values())) == len(workers)
    ParallelRunner().run(SIDE_BY_SIDE, catalog())
    SequentialRunner().run(SIDE_BY_SIDE, catalog(DataCatalog))
    assert outputs() == first


def test_node_that_is_up_to_date_after_all_is_given_to_no_worker(catalog):
    pool = parallel._Pool(lambda *_: False, 1, get_context("spawn"))
    node = SIDE_BY_SIDE.nodes[0]
    assert pool.submit(Task(node, catalog(), is_async=False)).result(timeout=0) is node
    pool.shutdown()


def test_failing_node_stops_the_run_and_leaves_no_record(catalog, monkeypatch, tmp_path):
    monkeypatch.setattr(parallel, "visible_gpus", list)
    pipeline = SIDE_BY_SIDE.filter(node_names=["n0"]) + Pipeline([Node(fail, "b0", "b1", name="f")])
    with pytest.raises(ValueError, match="on purpose"):
        ParallelRunner(max_workers=1).run(pipeline, catalog())
    assert [path.name for path in (tmp_path / "records").glob("[!.]*")] == ["n0.json"]


def test_killed_worker_is_one_error_and_what_ended_before_is_recorded(
    catalog, monkeypatch, tmp_path
):
    monkeypatch.setattr(parallel, "visible_gpus", list)
    killed = Pipeline([Node(kill_itself, "b0", "b1", name="killed")])
    pipeline = SIDE_BY_SIDE.filter(node_names=["n0"]) + killed
    with pytest.raises(TrainingError) as error:
        ParallelRunner(max_workers=1).run(pipeline, catalog())
    assert error.value.fields == {"names": ["killed"], "max_workers": 1}
    assert [path.name for path in (tmp_path / "records").glob("[!.]*")] == ["n0.json"]


# Two nodes that never end: one releases Python's lock, as torch does, and one never leaves Python.
ENDLESS = """
import os, pathlib, time
from kedro.io.data_catalog import SharedMemoryDataCatalog
from kedro.pipeline import Node, Pipeline
from mlic.runners import ParallelRunner

def compute(_):
    import torch
    pathlib.Path(f"{os.getpid()}.compute").touch()
    while True:
        torch.ones(300, 300) @ torch.ones(300, 300)

def count(_):
    pathlib.Path(f"{os.getpid()}.count").touch()
    while True:
        pass

if __name__ == "__main__":
    entry = {"type": "json.JSONDataset"}
    names = {name: {**entry, "filepath": f"{name}.json"} for name in "abc"}
    catalog = SharedMemoryDataCatalog.from_config(names)
    nodes = [Node(compute, "a", "b", name="compute"), Node(count, "a", "c", name="count")]
    ParallelRunner(max_workers=2).run(Pipeline(nodes), catalog)
"""


@pytest.fixture
def endless(tmp_path):
    """A program that runs two nodes in two workers, and all processes that it has started."""
    (tmp_path / "a.json").write_text("1")
    (tmp_path / "endless.py").write_text(ENDLESS)
    program = subprocess.Popen(
        [sys.executable, "endless.py"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    workers = {}
    while len(workers) < 2 and time.monotonic() < deadline:
        found = [*tmp_path.glob("*.compute"), *tmp_path.glob("*.count")]
        workers = {path.suffix[1:]: int(path.stem) for path in found}
        assert program.poll() is None, program.stderr.read()
        time.sleep(0.1)
    started = psutil.Process(program.pid).children(recursive=True)
    yield program, started, workers
    for process in [program, *started]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.mark.slow
def test_no_process_outlives_a_parent_that_is_killed(endless):
    program, started, workers = endless
    assert len(started) >= 4 and len(workers) == 2  # with a manager and a tracker of resources
    program.kill()
    _, alive = psutil.wait_procs(started, timeout=5)
    assert not alive


@pytest.mark.slow
@pytest.mark.parametrize("node", ["compute", "count"])
def test_no_process_outlives_a_worker_that_is_killed(endless, node):
    program, started, workers = endless
    os.kill(workers[node], signal.SIGKILL)
    assert program.wait(timeout=30) == 1
    assert "TrainingError: a worker process was killed" in program.stderr.read()
    _, alive = psutil.wait_procs(started, timeout=5)
    assert not alive


def test_number_of_workers_follows_the_cores(catalog, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    entries = catalog()
    assert parallel._demand(entries) == (1, 1)
    common = {"epochs": 1, "batch_size": 8, "learning_rate": 0.1}
    student = {"overrides": {"student": {"devices": 2}}}
    for options, workers in [
        ({"threads": 3}, 4),
        ({"threads": 1}, 12),
        ({"threads": 24}, 2),
        ({"threads": 2, "devices": 3}, 2),
        ({"threads": 1, **student}, 6),
    ]:
        given = common | options
        # as options, or as Kedro has read them where no node declares their type
        for value in (TrainingOptions(**given), given):
            entries["params:training"] = value
            devices, threads = parallel._demand(entries)
            assert parallel._workers_on_cpu(devices * threads) == workers


@pytest.mark.parametrize(
    ("named", "number", "gpus"),
    [(None, 0, []), (None, 2, ["0", "1"]), ("2,GPU-5a", 2, ["2", "GPU-5a"]), ("", 0, [])],
)
def test_gpus_are_named_as_in_the_environment(named, number, gpus, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert parallel.visible_gpus() == gpus

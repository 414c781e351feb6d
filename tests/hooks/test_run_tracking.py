"""Runs that train are announced, and have an MLflow run that ends with the right status."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import ThreadRunner
from kedro_datasets.json import JSONDataset
from mlflow import MlflowClient

from mlic.config.recipes import RecipeConfigLoader
from mlic.errors import TrainingError
from mlic.hooks.run_tracking import RunTracking
from mlic.runners import SequentialRunner
from mlic.tracking.runs import close_parent
from mlic.tracking.settings import TrackingSettings
from mlic.tracking.store import open_experiment

CONF = Path(__file__).resolve().parents[2] / "conf"
SUMMARY = {
    "baseline": {"mAP": 50.0, "CF1": 40.0, "OF1": 45.0},
    "teachers": {"cgp": {"mAP": 51.0}, "dgp": {"mAP": 52.0}},
    "student": {"mAP": 55.5, "CF1": 41.0, "OF1": 47.0},
    "seconds": {"baseline": 10.2, "teachers": {"cgp": 20.0}, "student": 11.0, "total": 80.0},
    "seed": 0,
}
RUN_PARAMS = {
    "run_id": "2026",
    "env": None,
    "pipeline_names": None,
    "tags": (),
    "namespaces": "cgp_0",
}


def identity(value):
    return value


def train(output, name):
    return Node(identity, "data", f"{output}.checkpoint", name=name, tags="training")


PIPELINE = Pipeline(
    [
        train("baseline", "train"),
        Node(identity, "baseline.checkpoint", "summary", name="summarise"),
    ]
)
TRAINING_ONLY = PIPELINE.filter(node_names=["train"])
SUMMARY_ONLY = PIPELINE.filter(node_names=["summarise"])


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Folder with one MLflow database for all tests, because creating one takes seconds."""
    folder = tmp_path_factory.mktemp("project")
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    open_experiment(client, TrackingSettings(f"sqlite:///{folder}/mlflow.db"))
    return folder


class MlflowRuns:
    """Reads the runs of an experiment, the oldest first."""

    def __init__(self, folder, experiment):
        self.client, self.folder = MlflowClient(f"sqlite:///{folder}/mlflow.db"), folder
        self.experiment = experiment

    def all(self):
        experiment = self.client.get_experiment_by_name(self.experiment)
        found = self.client.search_runs([experiment.experiment_id]) if experiment else []
        return sorted(found, key=lambda run: run.info.start_time)

    @property
    def statuses(self):
        return [run.info.status for run in self.all()]


@pytest.fixture
def runs(project, request):
    """MLflow runs of this test."""
    yield MlflowRuns(project, request.node.name)
    close_parent("KILLED")


@pytest.fixture
def context(project, request):
    """A Kedro context for conf/base, with an experiment of its own."""
    loader = RecipeConfigLoader(str(CONF), base_env="base", default_run_env="base")
    loader["mlflow"] = {"experiment": request.node.name}
    return SimpleNamespace(project_path=project, env=None, config_loader=loader)


@pytest.fixture(autouse=True)
def estimate(monkeypatch):
    """An estimate that only names the nodes; no training step is timed."""
    monkeypatch.setattr(
        "mlic.hooks.cost_estimate.estimate_cost",
        lambda pipeline, *_: f"estimate of {[node.name for node in pipeline.nodes]}",
    )
    monkeypatch.setattr("mlic.hooks.run_tracking.exit_on_sigterm", lambda: None)


@pytest.fixture
def catalog(tmp_path):
    layer = {"kedro-viz": {"layer": "reporting"}}
    summary = JSONDataset(filepath=str(tmp_path / "summary.json"), metadata=layer)
    summary.save(SUMMARY)
    return DataCatalog({"summary": summary})


@pytest.fixture
def start(context):
    """Start a run, and return its hook."""

    def start(pipeline=PIPELINE, catalog=None, **run_params):
        hook = RunTracking()
        hook.after_context_created(context)
        hook.before_pipeline_run(RUN_PARAMS | run_params, pipeline, catalog or DataCatalog())
        return hook

    return start


def test_run_has_a_name_parameters_and_tags(start, runs):
    start()
    (run,) = runs.all()
    assert run.info.run_name == "synthetic baseline+cgp+dgp K=3 seed=0"
    assert run.data.params["seed"] == "0" and "training.epochs" in run.data.params
    assert run.data.tags["kedro.env"] == "local"
    assert run.data.tags["kedro.namespaces"] == "cgp_0"
    assert "kedro.tags" not in run.data.tags
    assert run.data.tags["mlflow.source.name"] == "mlic"


def test_no_run_is_opened_if_nothing_trains(start, runs):
    start(SUMMARY_ONLY)
    assert not runs.all()


def test_finished_run_logs_figures_and_files(start, runs, catalog):
    start().after_pipeline_run(PIPELINE, catalog)
    (run,) = runs.all()
    metrics = run.data.metrics
    assert metrics["mAP.baseline"] == 50.0
    assert metrics["mAP.teachers.dgp"] == 52.0
    assert metrics["mAP.gain"] == 5.5
    assert metrics["seconds.total"] == 80.0
    assert "seed" not in metrics
    attached = Path(runs.folder, run.info.artifact_uri, "reporting").iterdir()
    assert [file.name for file in attached] == ["summary.json"]
    assert run.info.status == "FINISHED"


def test_summary_of_another_run_is_not_logged(start, runs, catalog):
    start(TRAINING_ONLY).after_pipeline_run(TRAINING_ONLY, catalog)
    (run,) = runs.all()
    assert run.info.status == "FINISHED" and not run.data.metrics


def test_failed_pipeline_closes_the_run_as_failed(start, runs):
    start().on_pipeline_error()
    assert runs.statuses == ["FAILED"]


def test_interrupted_run_of_the_same_process_is_closed_as_killed(start, runs):
    hook = start()
    hook.before_pipeline_run(RUN_PARAMS, PIPELINE, DataCatalog())
    assert runs.statuses == ["KILLED", "RUNNING"]


LEAVE_A_RUN_OPEN = """
import sys
from types import SimpleNamespace
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from mlic.config.recipes import RecipeConfigLoader
from mlic.hooks import cost_estimate
from mlic.hooks.run_tracking import RunTracking
cost_estimate.estimate_cost = lambda *_: "estimate"
conf, project, experiment = sys.argv[1:]
loader = RecipeConfigLoader(conf, base_env="base", default_run_env="base")
loader["mlflow"] = {"experiment": experiment}
pipeline = Pipeline([Node(len, "a", "baseline.checkpoint", tags="training")])
failed, left_open = RunTracking(), RunTracking()
for hook in (failed, left_open):
    hook.after_context_created(SimpleNamespace(project_path=project, config_loader=loader))
    hook.before_pipeline_run({"run_id": "1"}, pipeline, DataCatalog())
    if hook is failed:
        hook.on_pipeline_error()
"""


def test_run_that_is_open_when_python_exits_is_closed_as_killed(runs, project):
    arguments = [str(CONF), str(project), runs.experiment]
    subprocess.run([sys.executable, "-c", LEAVE_A_RUN_OPEN, *arguments], check=True)
    assert runs.statuses == ["FAILED", "KILLED"]


def test_estimate_is_announced_before_trainings_only(start, runs, caplog):
    with caplog.at_level(logging.INFO, "mlic"):
        start(SUMMARY_ONLY)
        assert not caplog.records
        start()
    assert caplog.messages[0] == "estimate of ['train', 'summarise']"


@pytest.fixture
def finished(tmp_path):
    """A catalog in which both nodes of the pipeline have been run and recorded."""

    def make_catalog():
        names = {"data": "data", "baseline.checkpoint": "model", "summary": "summary"}
        names["student.checkpoint"] = "other"
        config = {
            name: {"type": "json.JSONDataset", "filepath": str(tmp_path / f"{file}.json")}
            for name, file in names.items()
        }
        records = {"type": "mlic.datasets.DirectoryDataset", "filepath": str(tmp_path / "records")}
        return DataCatalog.from_config(config | {"node_records": records})

    (tmp_path / "data.json").write_text(json.dumps(SUMMARY))
    SequentialRunner().run(PIPELINE, make_catalog())
    return make_catalog


def test_no_run_is_opened_if_everything_is_up_to_date(start, runs, finished, caplog, tmp_path):
    with caplog.at_level(logging.INFO, "mlic.hooks"):
        start(PIPELINE, finished())
    assert not runs.all()
    (message,) = caplog.messages
    assert str(tmp_path / "summary.json") in message and "estimate" not in message


def test_estimate_leaves_out_trainings_that_are_up_to_date(start, runs, finished, caplog, tmp_path):
    with caplog.at_level(logging.INFO, "mlic.hooks"):
        start(PIPELINE + Pipeline([train("student", "other")]), finished())
    assert caplog.messages[0].startswith("estimate of ['other'];")
    assert "1 of 2" in caplog.messages[0]
    close_parent("FINISHED")
    (tmp_path / "summary.json").unlink()
    start(PIPELINE, finished())
    assert len(runs.all()) == 1  # the summary is made again, which is no training


def test_thread_runner_cannot_train(start, runs):
    threads = {"runner": str(ThreadRunner())}
    with pytest.raises(TrainingError, match="ParallelRunner"):
        start(**threads)
    start(SUMMARY_ONLY, **threads)
    assert not runs.all()

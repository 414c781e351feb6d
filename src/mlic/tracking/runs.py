"""MLflow: one parent run for each pipeline run, one child run for each training.

The parent's id and the store's address are passed in environment variables, so that a training
finds them in any process. Runs are addressed by id throughout: MLflow's "active run" belongs to one
thread, and MLflow closes it as FINISHED when Python exits, whatever happened.

mlflow is imported inside functions, because Kedro imports this module when it starts.
"""

from __future__ import annotations

import getpass
import math
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mlic.tracking import store
from mlic.tracking.abandoned import close_abandoned, close_children, process_tags
from mlic.tracking.store import (
    connect,
    explain_refusal,
    log_parameters,
    resolve_artifacts,
    warn_if_refused,
)
from mlic.utils.git import git_commit
from mlic.utils.signals import exit_on_sigterm, finish_worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mlflow import MlflowClient

    from mlic.tracking.settings import TrackingSettings

__all__ = [
    "TrainingRun",
    "close_parent",
    "join_parent",
    "open_parent",
    "parent_id",
    "parent_run",
    "parent_settings",
    "parent_uri",
    "provenance",
    "tracked_training",
]

_RUN, _STORE, _SAMPLING = "MLIC_MLFLOW_RUN", "MLIC_MLFLOW_URI", "MLIC_MLFLOW_SAMPLING"
_NOT_INHERITED = ("mlflow.runName", "mlflow.note.content")  # tags that a child does not inherit


class TrainingRun:
    """Run that a training logs to. This one is a no-op, used when tracking is off."""

    run_id = ""

    def log_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of one epoch by name; NaN is left out."""

    def log_file(self, path: Path, folder: str) -> None:
        """Log a file as an artifact in a folder of the run."""


class _MlflowRun(TrainingRun):
    """Run in MLflow's store. Once it is open, failing requests are warnings: training continues."""

    def __init__(self, client: MlflowClient, run_id: str, reopened: bool = False) -> None:
        self._client = client
        self.run_id = run_id
        self._reopened = reopened

    def log_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of one epoch in one request; NaN is left out.

        A reopened run gets no second value of a metric for an epoch.
        """
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        known = {name: float(value) for name, value in metrics.items() if not math.isnan(value)}
        with warn_if_refused(f"the metrics of epoch {epoch}"):
            batch = [
                Metric(name, value, now, epoch)
                for name, value in known.items()
                if not (self._reopened and self._has(name, epoch))
            ]
            self._client.log_batch(self.run_id, metrics=batch)

    def _has(self, name: str, epoch: int) -> bool:
        history = self._client.get_metric_history(self.run_id, name)
        return any(one.step == epoch for one in history)

    def log_file(self, path: Path, folder: str) -> None:
        """Log a file as an artifact."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with warn_if_refused(f"the file {path}"):
            # Not by the client, for whom a relative path would start at the working directory.
            uri = self._client.get_run(self.run_id).info.artifact_uri
            repository = get_artifact_repository(resolve_artifacts(uri, os.environ[_STORE]))
            repository.log_artifact(str(path), folder)


@contextmanager
def tracked_training(
    name: str,
    parameters: Mapping[str, Any],
    tags: Mapping[str, str],
    run_id: str | None = None,
) -> Iterator[TrainingRun]:
    """Open a child run for a training, with system metrics, and close it with the right status.

    The run with `run_id`, if it still exists, is opened again and becomes a child of this parent.

    The status is FINISHED when the block ends, FAILED on an error, and KILLED on Ctrl-C, SIGTERM or
    any other exit. The run has the tags of its parent too. Outside a pipeline run, such as in a
    notebook, nothing is opened or imported. A store that cannot be reached or refuses the run is a
    TrainingError.

    Examples
    --------
    >>> with tracked_training("student", {"epochs": 1}, {}) as run:
    ...     run.log_epoch(1, {"loss": 0.5})
    """
    if _RUN not in os.environ:
        yield TrainingRun()
        return
    # A scheduler ends jobs by SIGTERM; as an exception, it passes through the blocks below.
    exit_on_sigterm()
    client = connect(os.environ[_STORE])
    reopened = bool(run_id) and _reopen_child(client, str(run_id))
    run_id = str(run_id) if reopened else _open_child(client, name, parameters, tags)
    try:
        with _system_metrics(run_id, reopened):
            yield _MlflowRun(client, run_id, reopened)
    except Exception:
        _close(client, run_id, "FAILED")
        raise
    except BaseException as stop:
        # In a worker, a second signal must not interrupt this request; the process ends after it.
        with finish_worker(stop):
            _close(client, run_id, "KILLED")
        raise
    else:
        _close(client, run_id, "FINISHED")


def open_parent(
    settings: TrackingSettings,
    name: str,
    parameters: Mapping[str, Any],
    tags: Mapping[str, str],
) -> str:
    """Open the parent run of all trainings of one pipeline run, and return its id.

    The id and the store's address are also stored in the environment. Runs that an earlier process
    left open, because it was killed, are closed as KILLED. A store that cannot be reached or
    refuses the run is a TrainingError.
    """
    with explain_refusal(settings.tracking_uri):
        client = connect(settings.tracking_uri)
        experiment = store.open_experiment(client, settings)
        close_abandoned(client, experiment)
        own = {**tags, **process_tags()}
        run = client.create_run(experiment, tags=own, run_name=name)
        log_parameters(client, run.info.run_id, parameters)
    # Set only when the run is open: trainings in other processes rely on these variables.
    os.environ[_RUN] = str(run.info.run_id)
    os.environ[_STORE] = settings.tracking_uri
    os.environ[_SAMPLING] = str(settings.sampling_seconds)
    return str(run.info.run_id)


def parent_run() -> TrainingRun:
    """Return the open parent run, or a no-op run if there is none."""
    if _RUN not in os.environ:
        return TrainingRun()
    return _MlflowRun(connect(os.environ[_STORE]), os.environ[_RUN])


def parent_uri() -> str:
    """Address of the store in which the parent run is open."""
    return os.environ[_STORE]


def parent_id() -> str:
    """Id of the open parent run."""
    return os.environ[_RUN]


def parent_settings() -> dict[str, str]:
    """Return what `join_parent` needs in a process on another machine; empty without a parent."""
    return {name: os.environ[name] for name in (_RUN, _STORE, _SAMPLING) if name in os.environ}


@contextmanager
def join_parent(settings: Mapping[str, str]) -> Iterator[None]:
    """Let the trainings in this block be children of a parent that another process has opened."""
    os.environ.update(settings)
    try:
        yield
    finally:
        for variable in settings:
            os.environ.pop(variable, None)


def close_parent(status: str) -> None:
    """Close the parent run, if one is open, as ``"FINISHED"``, ``"FAILED"`` or ``"KILLED"``.

    Children that are still open, because the process of their training was killed, become KILLED.
    """
    if _RUN in os.environ:
        client = connect(os.environ[_STORE])
        # a finished run has such children too, if a lost machine was replaced
        with warn_if_refused("the status of trainings that were killed"):
            close_children(client, os.environ[_RUN])
        _close(client, os.environ[_RUN], status)
    # A later run of the same process must not log to this one.
    for variable in (_RUN, _STORE, _SAMPLING):
        os.environ.pop(variable, None)


def provenance() -> dict[str, str]:
    """Make the tags of a run's origin: user, program and, in a git repository, the commit."""
    tags = {"mlflow.user": _user(), "mlflow.source.name": "mlic"}
    if commit := git_commit():
        tags["mlflow.source.git.commit"] = commit
    return tags


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, the user's number may have no name
        return str(os.getuid())


def _open_child(
    client: MlflowClient, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str]
) -> str:
    with explain_refusal(os.environ[_STORE]):
        parent = client.get_run(os.environ[_RUN])
        inherited = {k: v for k, v in parent.data.tags.items() if k not in _NOT_INHERITED}
        # MLflow knows a child by this tag alone, so it must win over all others.
        own = {**inherited, **tags, "mlflow.parentRunId": parent.info.run_id}
        run = client.create_run(parent.info.experiment_id, tags=own, run_name=name)
        log_parameters(client, run.info.run_id, parameters)
    return str(run.info.run_id)


def _reopen_child(client: MlflowClient, run_id: str) -> bool:
    """Open a run again under the present parent; False if it was deleted."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

    with explain_refusal(os.environ[_STORE]):
        try:
            info = client.get_run(run_id).info
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
            return False
        if info.lifecycle_stage != "active":
            return False
        client.update_run(run_id, status="RUNNING")
        parent = client.get_run(os.environ[_RUN]).data.tags
        # the process that has the run now, for whoever looks for abandoned runs
        own = {name: parent[name] for name in process_tags()}
        for tag, value in {**own, "mlflow.parentRunId": os.environ[_RUN]}.items():
            client.set_tag(run_id, tag, value)
    return True


@contextmanager
def _system_metrics(run_id: str, reopened: bool) -> Iterator[None]:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    interval = float(os.environ[_SAMPLING])
    monitor = SystemMetricsMonitor(
        run_id, interval, resume_logging=reopened, tracking_uri=os.environ[_STORE]
    )
    monitor.start()
    try:
        yield
    finally:
        with warn_if_refused("system metrics"):
            monitor.finish()
            # A last sample by hand, so that a training shorter than the interval has one too.
            monitor.collect_metrics()
            monitor.publish_metrics(monitor.aggregate_metrics())
            monitor.mlflow_logger.flush()


def _close(client: MlflowClient, run_id: str, status: str) -> None:
    with warn_if_refused(f"the status {status}"):
        client.set_terminated(run_id, status)

"""Runs whose process ended without closing them, such as by a kill or a power failure."""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from mlic.utils.sqlite import file_of, is_sqlite

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlflow import MlflowClient

    from mlic.tracking.settings import TrackingSettings

__all__ = ["close_abandoned", "close_children", "close_left_open", "process_tags"]

log = logging.getLogger(__name__)

_HOST, _PROCESS, _START = "mlic.host", "mlic.process", "mlic.process_start"
_CLOCK_SECONDS = 1.0  # start times of one process may differ by this after a change of the clock


def process_tags() -> dict[str, str]:
    """Tags that name this process: host, process id and start in seconds since 1970."""
    import psutil

    start = psutil.Process().create_time()
    return {_HOST: socket.gethostname(), _PROCESS: str(os.getpid()), _START: f"{start:.2f}"}


def close_abandoned(client: MlflowClient, experiment_id: str) -> None:
    """Close as KILLED what is still RUNNING in MLflow although its process on this host is gone.

    Runs of other hosts, and runs without the tags of a process, are left alone.
    """
    running = client.search_runs([experiment_id], "attributes.status = 'RUNNING'")
    gone = [run for run in running if _is_gone(run.data.tags)]
    for run in gone:
        client.set_terminated(run.info.run_id, "KILLED")
    if gone:
        names = ", ".join(sorted({str(run.info.run_name) for run in gone}))
        log.info("MLflow: runs of processes that no longer exist are closed as KILLED: %s", names)


def close_left_open(settings: TrackingSettings) -> None:
    """Close what killed processes left open in a local database, for runs that open none.

    MLflow is loaded only if there is such a run. A database that cannot be read is left alone.
    """
    uri = settings.tracking_uri
    if not (is_sqlite(uri) and _has_running(file_of(uri))):
        return
    from mlic.tracking.store import connect

    client = connect(uri)
    experiment = client.get_experiment_by_name(settings.experiment)
    if experiment is not None:
        close_abandoned(client, experiment.experiment_id)


def _has_running(database: Path) -> bool:
    if not database.is_file():
        return False
    try:
        with closing(
            sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
        ) as opened:
            query = "SELECT 1 FROM runs WHERE status = 'RUNNING' LIMIT 1"
            return opened.execute(query).fetchone() is not None
    except sqlite3.Error:
        return False


def close_children(client: MlflowClient, parent_id: str) -> None:
    """Close as KILLED the children of a run that are still RUNNING; their workers have ended."""
    experiment = client.get_run(parent_id).info.experiment_id
    children = f"tags.mlflow.parentRunId = '{parent_id}' and attributes.status = 'RUNNING'"
    for run in client.search_runs([experiment], children):
        client.set_terminated(run.info.run_id, "KILLED")


def _is_gone(tags: Mapping[str, str]) -> bool:
    """Whether the process of a run was on this host and has ended."""
    import psutil

    if tags.get(_HOST) != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(tags[_PROCESS]))
        # the number of a process is used again after its end
        is_same = abs(process.create_time() - float(tags[_START])) <= _CLOCK_SECONDS
        return not is_same or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except (psutil.AccessDenied, KeyError, ValueError):
        return False

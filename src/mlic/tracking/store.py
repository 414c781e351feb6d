"""Connection to MLflow's store, its experiment, and errors of the store."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlic.errors import TrainingError
from mlic.tracking.settings import SQLITE, TrackingSettings, flatten
from mlic.tracking.views import experiment_tags

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow import MlflowClient

__all__ = [
    "connect",
    "explain_refusal",
    "log_parameters",
    "open_experiment",
    "resolve_artifacts",
    "warn_if_refused",
]

logger = logging.getLogger(__name__)

ARTIFACTS = "mlruns"  # folder beside the database
_HAS_VIEWS = "mlic.has_views"
_MAX_VALUE_LENGTH = 500  # the limit of old servers


def connect(uri: str) -> MlflowClient:
    """Connect to the store at an address, with few log messages and short waiting times."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # The address that MLflow prints at the end of each run would break progress bars.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # 15 seconds; by default minutes
    if uri.startswith(SQLITE):  # a SQLite connection must not be shared with a forked worker
        os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri)


def open_experiment(client: MlflowClient, settings: TrackingSettings) -> str:
    """Return the id of the experiment; create it and its saved views if they do not exist.

    A deleted experiment is a TrainingError, because MLflow does not create its name again.
    """
    experiment = client.get_experiment_by_name(settings.experiment)
    if experiment is None:
        made = str(client.create_experiment(settings.experiment))
        _place_artifacts(settings, made)
        _add_views(client, made, {})
        return made
    if experiment.lifecycle_stage == "deleted":
        raise TrainingError(
            f"MLflow's experiment '{settings.experiment}' was deleted in {settings.tracking_uri}: "
            f"run `mlflow experiments restore -x {experiment.experiment_id}` "
            "or set another experiment in mlflow.yml",
            name=settings.experiment,
        )
    _add_views(client, str(experiment.experiment_id), experiment.tags)
    return str(experiment.experiment_id)


def _add_views(client: MlflowClient, experiment_id: str, tags: Mapping[str, str]) -> None:
    """Add the saved views once, so that views that a user changed or deleted are not restored."""
    if _HAS_VIEWS in tags:
        return
    with warn_if_refused("the saved views"):
        for key, value in {**experiment_tags(experiment_id), _HAS_VIEWS: "true"}.items():
            if key not in tags:
                client.set_experiment_tag(experiment_id, key, value)


def _place_artifacts(settings: TrackingSettings, experiment_id: str) -> None:
    """Store the artifacts of an experiment in a folder beside its SQLite file; a server decides.

    The path is relative, so that a project that is moved keeps its artifacts. MLflow itself would
    make it absolute, so that it is written into the database.
    """
    if not settings.tracking_uri.startswith(SQLITE):
        return
    with sqlite3.connect(settings.tracking_uri.removeprefix(SQLITE)) as database:
        database.execute(
            "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
            (f"{ARTIFACTS}/{experiment_id}", int(experiment_id)),
        )


def resolve_artifacts(uri: str, tracking_uri: str) -> str:
    """Make the relative address of artifacts absolute: it starts at the folder of the database.

    Examples
    --------
    >>> resolve_artifacts("mlruns/1/ab", "sqlite:////project/mlflow.db")
    '/project/mlruns/1/ab'
    >>> resolve_artifacts("s3://bucket/1", "https://server")
    's3://bucket/1'
    """
    is_relative = (
        tracking_uri.startswith(SQLITE) and "://" not in uri and not Path(uri).is_absolute()
    )
    if not is_relative:
        return uri
    return str(Path(tracking_uri.removeprefix(SQLITE)).absolute().parent / uri)


def log_parameters(client: MlflowClient, run_id: str, parameters: Mapping[str, Any]) -> None:
    """Log parameters with nested keys joined by dots; long values are truncated."""
    from mlflow.entities import Param

    flat = flatten(parameters).items()
    # The client splits the batch where MLflow limits the number of parameters in one request.
    client.log_batch(run_id, params=[Param(key, _truncate(str(value))) for key, value in flat])


def _truncate(text: str) -> str:
    return text if len(text) <= _MAX_VALUE_LENGTH else text[: _MAX_VALUE_LENGTH - 1] + "…"


@contextmanager
def explain_refusal(uri: str) -> Iterator[None]:
    """Replace MLflow's exception by a TrainingError that says what to do."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise TrainingError(
            f"MLflow cannot open a run in {uri}: {error}; "
            "start the server, or set another tracking_uri in mlflow.yml",
            name=uri,
        ) from error


@contextmanager
def warn_if_refused(what: str) -> Iterator[None]:
    """Log a warning if MLflow refuses a request, and continue."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        logger.warning("MLflow could not store %s: %s", what, error)

"""MLflow's store: reached, its experiment made, and what happens where it refuses."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlic.errors import TrainingError
from mlic.tracking.settings import SQLITE, TrackingSettings, flatten
from mlic.tracking.views import experiment_tags

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow import MlflowClient

__all__ = ["connect", "explain_refusal", "log_parameters", "open_experiment", "warn_if_refused"]

logger = logging.getLogger(__name__)

_HAS_VIEWS = "mlic.has_views"
_LONGEST_VALUE = 500  # the oldest servers' limit, and more than anyone reads in a table
_PARAMETERS_PER_CALL = 100  # MLflow's limit


def connect(uri: str) -> MlflowClient:
    """Client of the store at an address, quiet and patient as a training wants it."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # into progress bars
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # 15 s; the default is minutes
    if uri.startswith(SQLITE):  # a SQLite connection must not be carried into a forked worker
        os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri)


def open_experiment(client: MlflowClient, settings: TrackingSettings) -> str:
    """Id of the experiment, which is made if there is none, and is given views of its runs once.

    Raises
    ------
    TrainingError
        If it is deleted.
    """
    experiment = client.get_experiment_by_name(settings.experiment)
    if experiment is None:
        made = str(client.create_experiment(settings.experiment, _artifact_location(settings)))
        _add_views(client, made, {})
        return made
    if experiment.lifecycle_stage == "deleted":
        raise TrainingError(
            f"MLflow's experiment '{settings.experiment}' is deleted in {settings.tracking_uri}: "
            f"run `mlflow experiments restore -x {experiment.experiment_id}` "
            "or name another in mlflow.yml"
        )
    _add_views(client, str(experiment.experiment_id), experiment.tags)
    return str(experiment.experiment_id)


def _add_views(client: MlflowClient, experiment_id: str, tags: Mapping[str, str]) -> None:
    """Add what is absent, once: what a person wrote, changed or took away stays as it is."""
    if _HAS_VIEWS in tags:
        return
    with warn_if_refused("the saved views"):
        for key, value in {**experiment_tags(experiment_id), _HAS_VIEWS: "true"}.items():
            if key not in tags:
                client.set_experiment_tag(experiment_id, key, value)


def _artifact_location(settings: TrackingSettings) -> str | None:
    """Beside a SQLite file; elsewhere the server decides."""
    if not settings.tracking_uri.startswith(SQLITE):
        return None
    database = Path(settings.tracking_uri.removeprefix(SQLITE))
    return (database.absolute().parent / "mlruns" / settings.experiment).as_uri()


def log_parameters(client: MlflowClient, run_id: str, parameters: Mapping[str, Any]) -> None:
    """Log parameters flattened; long values are cut."""
    from mlflow.entities import Param

    batch = [Param(key, _cut(str(value))) for key, value in flatten(parameters).items()]
    for start in range(0, len(batch), _PARAMETERS_PER_CALL):
        client.log_batch(run_id, params=batch[start : start + _PARAMETERS_PER_CALL])


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


@contextmanager
def explain_refusal(uri: str) -> Iterator[None]:
    """Tell what to do where a run cannot be opened.

    Raises
    ------
    TrainingError
        In place of MLflow's exception.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise TrainingError(
            f"MLflow cannot open a run in {uri}: {error}; "
            "start the server, or set another tracking_uri in mlflow.yml"
        ) from error


@contextmanager
def warn_if_refused(what: str) -> Iterator[None]:
    """Log that MLflow did not take something; the work goes on."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        logger.warning("MLflow did not take %s: %s", what, error)

"""Connection to MLflow's store, its experiment, and errors of the store."""

from __future__ import annotations

import logging
import os
import re
import shlex
import sqlite3
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from mlic.errors import TrainingError
from mlic.tracking.settings import TrackingSettings, flatten
from mlic.tracking.views import experiment_tags
from mlic.utils.reading import one_line
from mlic.utils.sqlite import file_of, is_sqlite, uri_of

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
    if is_sqlite(uri):  # a SQLite connection must not be shared with a forked worker
        os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # every error that it logs with a traceback is raised too
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    if is_sqlite(uri):
        _make_database(file_of(uri))
    return MlflowClient(tracking_uri=uri)


def _make_database(path: Path) -> None:
    """Create the database, if there is none, complete or not at all, and by one process only.

    MLflow creates some fifty tables one after the other: a database that a kill left half-made, or
    that two processes make at once, could never be opened again.
    """
    if path.is_file() and path.stat().st_size:
        return
    from mlflow import MlflowClient

    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock(path):
        if path.is_file() and path.stat().st_size:
            return  # made by another process in the meantime
        for left in path.parent.glob(f"{path.name}.partial_*"):  # by a process that was killed
            left.unlink()
        # a new name, because MLflow remembers which files this process has filled
        partial = path.with_name(f"{path.name}.partial_{token_hex(4)}")
        MlflowClient(tracking_uri=uri_of(partial)).search_experiments(max_results=1)
        os.replace(partial, path)


def _lock(path: Path) -> AbstractContextManager[Any]:
    """Lock of a database, for what MLflow cannot do in two processes at once."""
    from filelock import FileLock

    return FileLock(path.with_name(f"{path.name}.lock"))


def open_experiment(client: MlflowClient, settings: TrackingSettings) -> str:
    """Return the id of the experiment; create it and its saved views if they do not exist.

    A deleted experiment is a TrainingError, because MLflow does not create its name again.
    """
    experiment = client.get_experiment_by_name(settings.experiment)
    if experiment is None:
        return _create_experiment(client, settings)
    if experiment.lifecycle_stage == "deleted":
        raise TrainingError(
            f"MLflow's experiment '{settings.experiment}' was deleted in {settings.tracking_uri}: "
            f"run `MLFLOW_TRACKING_URI={shlex.quote(settings.tracking_uri)} mlflow experiments "
            f"restore -x {experiment.experiment_id}` "
            "or set another experiment in mlflow.yml",
            name=settings.experiment,
        )
    _add_views(client, str(experiment.experiment_id), experiment.tags)
    return str(experiment.experiment_id)


def _create_experiment(client: MlflowClient, settings: TrackingSettings) -> str:
    uri = settings.tracking_uri
    local = _lock(file_of(uri)) if is_sqlite(uri) else nullcontext()
    with local:
        # made by another process in the meantime?
        if (found := client.get_experiment_by_name(settings.experiment)) is not None:
            return str(found.experiment_id)
        made = str(client.create_experiment(settings.experiment))
        _place_artifacts(settings, made)
        _add_views(client, made, {})
    return made


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
    if not is_sqlite(settings.tracking_uri):
        return
    with sqlite3.connect(file_of(settings.tracking_uri)) as database:
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
    is_relative = is_sqlite(tracking_uri) and "://" not in uri and not Path(uri).is_absolute()
    if not is_relative:
        return uri
    return str(file_of(tracking_uri).absolute().parent / uri)


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
    """Replace exceptions of MLflow and of its database by a TrainingError that says what to do."""
    from alembic.util import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, CommandError, sqlite3.Error, MlflowException) as error:
        # MLflow wraps errors of its database only where it expects them
        of_database = not isinstance(error, MlflowException) or "(sqlite3." in str(error)
        reason = _reason(error)
        cure = _cure_of_database(reason) if of_database else "start the server"
        raise TrainingError(
            f"MLflow cannot open a run in {uri} ({reason}): {cure}, or set another tracking_uri in "
            "mlflow.yml",
            name=uri,
        ) from error


def _reason(error: Exception) -> str:
    """Message of an error, without the SQL statement and its values."""
    found = re.search(r"\(sqlite3\.\w+\) [^\n]*", str(error))
    return found[0] if found else one_line(error)


def _cure_of_database(reason: str) -> str:
    if re.search(r"readonly|unable to open|is full|disk I/O|locked", reason):
        return "free space on its disk, or give write access to the file and its folder"
    return "it may be damaged or incomplete; move the file away, and the next run makes a new one"


@contextmanager
def warn_if_refused(what: str) -> Iterator[None]:
    """Log a warning if MLflow refuses a request or cannot write a file, and continue."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        logger.warning("MLflow could not store %s: %s", what, _reason(error))

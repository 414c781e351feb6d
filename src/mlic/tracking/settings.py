"""Settings of MLflow, and the plain data that runs are described by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from mlic.errors import ParameterError
from mlic.utils.sqlite import file_of, is_sqlite, uri_of

if TYPE_CHECKING:
    from pathlib import Path

    from mlic.config.parameters import Parameters

__all__ = [
    "TrackingSettings",
    "describe_run",
    "flatten",
    "flatten_numbers",
    "read_settings",
]


@dataclass(frozen=True)
class TrackingSettings:
    """Settings of MLflow, from ``mlflow.yml``.

    Parameters
    ----------
    tracking_uri
        Address of the store: a database (``sqlite:///mlflow.db``) or the URL of a server.
    experiment
        Name of the experiment; it is created if it does not exist.
    sampling_seconds
        Seconds between two samples of the system metrics.
    required
        Whether a store that cannot be used is an error; otherwise a warning says so, and the run
        is not tracked.
    """

    tracking_uri: str = "sqlite:///mlflow.db"
    experiment: str = "mlic"
    sampling_seconds: float = 5.0
    required: bool = True


def read_settings(raw: Mapping[str, Any], root: Path) -> TrackingSettings:
    """Read ``mlflow.yml``; a relative path of a SQLite file starts at the project's root.

    A missing key has its default value. An unknown key, or a sampling time that is not above zero,
    is a ParameterError.

    Examples
    --------
    >>> from pathlib import Path
    >>> read_settings({"experiment": "coco"}, Path("/project")).tracking_uri
    'sqlite:////project/mlflow.db'
    """
    known = [field.name for field in fields(TrackingSettings)]
    if not isinstance(raw, Mapping):
        raise ParameterError(
            f"mlflow.yml contains {str(raw)[:80]!r}: write keys and values; its keys are {known}",
            parameter="mlflow.yml",
            value=raw,
        )
    if unknown := [key for key in raw if key not in known]:
        raise ParameterError(
            f"mlflow.yml has unknown keys {unknown}: its keys are {known}", parameter=unknown[0]
        )
    for key in ("tracking_uri", "experiment"):
        if key in raw and (not isinstance(raw[key], str) or not raw[key].strip()):
            raise ParameterError(
                f"mlflow.yml: {key} is {raw[key]!r}: write a text", parameter=key, value=raw[key]
            )
    if not isinstance(raw.get("required", True), bool):
        raise ParameterError(
            f"mlflow.yml: required is {raw['required']!r}: set true or false",
            parameter="required",
            value=raw["required"],
        )
    settings = TrackingSettings(**raw)
    seconds = settings.sampling_seconds
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise ParameterError(
            f"mlflow.yml: sampling_seconds is {seconds!r}: set a number above 0",
            parameter="sampling_seconds",
            value=seconds,
        )
    if not is_sqlite(settings.tracking_uri):
        return settings
    # MLflow would create the file in the working directory, another one in every folder.
    return replace(settings, tracking_uri=uri_of(root / file_of(settings.tracking_uri)))


def describe_run(
    run_params: Mapping[str, Any], parameters: Parameters
) -> tuple[str, dict[str, str]]:
    """Make the name and the tags of a pipeline run, by which MLflow's table can be filtered.

    ``run_params`` is Kedro's description of the run, as its hooks receive it. The name is such as
    ``synthetic cgp+dgp K=3 seed=0``, with the names of the pipelines in front unless all are run.
    """
    env = str(run_params.get("env") or "local")
    shape = parameters.partition
    # A training inherits these tags from its run, and replaces the role by its own.
    own = {
        "role": "pipeline",
        # A data set has no name of its own; there is one environment for each.
        "data": "synthetic" if parameters.data.source == "synthetic" else env,
        "strategies": "+".join(shape.strategies),
        "num_parts": str(shape.num_parts),
        "teachers": parameters.teachers.mode,
        "backbone": parameters.model.backbone,
        "seed": str(parameters.seed),
    }
    names = ", ".join(run_params.get("pipeline_names") or [])
    title = "{data} {strategies} K={num_parts} seed={seed}".format(**own)
    chosen = ("tags", "from_nodes", "to_nodes", "node_names", "namespaces")
    kedro = {f"kedro.{key}": str(run_params[key]) for key in chosen if run_params.get(key)}
    kedro |= {"kedro.env": env, "kedro.run_id": str(run_params["run_id"])}
    kedro["kedro.pipelines"] = names or "__default__"
    return f"{names}: {title}" if names else title, own | kedro


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings; keys are joined by dots.

    Examples
    --------
    >>> flatten({"teacher": {"loss": {"gamma": 4}}, "seed": 0})
    {'teacher.loss.gamma': 4, 'seed': 0}
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def flatten_numbers(tree: Mapping[str, Any]) -> dict[str, float]:
    """Flatten nested mappings, and drop everything but numbers; truth values are no numbers."""
    numbers = {k: v for k, v in flatten(tree).items() if isinstance(v, int | float)}
    # To Python, True is an int.
    return {key: float(value) for key, value in numbers.items() if not isinstance(value, bool)}

"""A Ray cluster: connection, machines, what a node may ask for, and whether data reach all."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from contextlib import closing, contextmanager
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from mlic.errors import DataError, ParameterError, TrainingError
from mlic.runners.catalog_entries import is_parameter, read_configuration, read_entry
from mlic.runners.node_cache import NodeCache
from mlic.runners.parcel import in_memory
from mlic.utils.logging import log_format
from mlic.utils.sqlite import is_sqlite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node

    from mlic.config.cluster import RayOptions
    from mlic.runners.parcel import Place

__all__ = [
    "Machine",
    "Needs",
    "connected",
    "import_ray",
    "list_machines",
    "require_travel",
]

log = logging.getLogger(__name__)

_CONNECT_SECONDS = 10.0
_ASK_SECONDS = 300.0  # a first task on a machine unpacks the code and imports Kedro
_MODELS = (".checkpoint", ".model", "other_model")  # ends of names of entries that are models


class Machine(NamedTuple):
    """A node of the cluster that can run tasks."""

    id: str
    name: str
    address: str
    cpus: float
    gpus: float


class Needs(NamedTuple):
    """What a node that uses a model asks for; others ask for one processor."""

    num_cpus: float
    num_gpus: float

    @classmethod
    def choose(
        cls, options: RayOptions, devices: int, threads: int, machines: list[Machine]
    ) -> Needs:
        """Fill in what is not given by what a training uses and the machines have.

        Raises
        ------
        ParameterError
            If no machine has as much as is asked for.
        """
        if not machines:
            raise TrainingError(
                "the Ray cluster has no machine with a processor for tasks: add a worker to it"
            )
        gpus = options.num_gpus
        if gpus is None:
            gpus = float(devices) if any(one.gpus >= 1 for one in machines) else 0.0
        able = [one for one in machines if one.gpus >= gpus]
        if not able:
            _refuse("num_gpus", gpus, max(one.gpus for one in machines))
        # fewer processors than threads only make a training slower
        cpus = options.num_cpus or min(float(devices * threads), max(one.cpus for one in able))
        if not any(one.cpus >= cpus for one in able):
            _refuse("num_cpus", cpus, max(one.cpus for one in able))
        return cls(cpus, gpus)

    def of(self, node: Node) -> dict[str, float]:
        """Arguments of a Ray task that runs a node."""
        uses_model = any(name.endswith(_MODELS) for name in node.inputs)
        if "training" in node.tags or uses_model:
            return self._asdict()
        return {"num_cpus": 1.0, "num_gpus": 0.0}


def _refuse(key: str, asked: float, most: float) -> None:
    raise ParameterError(
        f"ray.{key}: a node asks for {asked:g}, but no machine of the Ray cluster has more than "
        f"{most:g}: lower ray.{key}, or start a machine that has as many",
        parameter=f"ray.{key}",
        value=asked,
        expected=most,
    )


def import_ray() -> Any:
    """Import Ray, which is not installed with mlic by default; without it, a TrainingError."""
    # read when Ray is imported: nothing is sent to its makers unless the user allows it
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise TrainingError(
            "RayRunner needs Ray, which is not installed: run pip install 'mlic[ray]', here and on "
            "every machine of the cluster",
            name="ray",
        ) from error
    return ray


@contextmanager
def connected(options: RayOptions) -> Iterator[None]:
    """Connect to the cluster, or start one of this machine alone, and leave it at the end.

    The code of mlic travels with the connection, so that all machines run the same.

    Raises
    ------
    TrainingError
        If there is no Ray, or the address cannot be reached.
    """
    ray = import_ray()
    address = options.address or os.environ.get("RAY_ADDRESS") or "local"
    _require_reachable(address)
    handler = signal.getsignal(signal.SIGTERM)
    code = {
        "py_modules": [str(Path(__file__).parents[1])],
        # for threads, see mlic.settings; and the format of the log
        "env_vars": {"GOMP_SPINCOUNT": "10000", "MLIC_LOG": log_format()},
    }
    own = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, runtime_env=code, logging_level=logging.WARNING, **own)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise _unreachable(address, error) from error
    finally:
        # Ray replaces it, and would end the run without closing what is open
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _require_reachable(address: str) -> None:
    """Try the port of an address: Ray itself would try for minutes, and end the process."""
    if address in ("local", "auto"):
        return
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        if parts.hostname is None or parts.port is None:
            raise ValueError("there is no host and port in it")
        socket.create_connection((parts.hostname, parts.port), _CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> TrainingError:
    reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return TrainingError(
        f"ray.address: the Ray cluster {address} cannot be reached ({reason}): start it (ray start "
        "--head), correct the address, or leave it out to use this machine alone",
        parameter="ray.address",
        value=address,
    )


def list_machines() -> list[Machine]:
    """List the machines of the cluster that can run a task; some head nodes only coordinate."""
    ray = import_ray()
    found = [
        Machine(
            one["NodeID"],
            one["NodeManagerHostname"],
            one["NodeManagerAddress"],
            one["Resources"].get("CPU", 0.0),
            one["Resources"].get("GPU", 0.0),
        )
        for one in ray.nodes()
        if one["Alive"]
    ]
    return [one for one in found if one.cpus >= 1]


def require_travel(
    pipeline: Pipeline,
    catalog: CatalogProtocol[str, Any],
    place: Place,
    machines: list[Machine],
    tracking_uri: str | None,
) -> None:
    """Check, before anything runs, that every machine has or gets all data of a pipeline.

    Raises
    ------
    DataError
        If an entry of the catalog cannot travel, or a machine does not see the data.
    TrainingError
        If a machine cannot reach MLflow's store.
    """
    elsewhere = [one for one in machines if not _is_here(one)]
    for name in sorted(pipeline.datasets()):
        _require_entry(name, catalog, place, name in pipeline.all_outputs() and bool(elsewhere))
    if elsewhere and tracking_uri is not None and is_sqlite(tracking_uri):
        raise TrainingError(
            f"MLflow's store is the file {tracking_uri}, which the machine {elsewhere[0].name} "
            "cannot use: start a server (mlflow server) and set MLFLOW_TRACKING_URI to its address",
            name=tracking_uri,
        )
    token = f".seen-{token_hex(4)}"
    mirror = place.mirror(place.folder)
    file = place.folder / token
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    try:
        if mirror is not None:
            mirror.push([token])
        paths = sorted(_paths_outside(pipeline, catalog, place))
        for one in machines:
            _require_seen(one, place, token, paths, tracking_uri)
    finally:
        file.unlink()
        if mirror is not None:
            mirror.push([token])


def _is_here(machine: Machine) -> bool:
    return bool(machine.address == import_ray().util.get_node_ip_address())


def _require_entry(
    name: str, catalog: CatalogProtocol[str, Any], place: Place, is_written_elsewhere: bool
) -> None:
    """Refuse an entry that only this process has, or that another machine would write to itself."""
    if is_parameter(name):
        return
    configuration, dataset = read_configuration(catalog, name), catalog.get(name)
    kind = type(dataset).__name__
    if not configuration and kind != "MemoryDataset":
        raise _cannot_travel(name, f"it was added in code, as {kind}", "describe it in a file")
    if getattr(dataset, "_SINGLE_PROCESS", False):
        raise _cannot_travel(name, f"{kind} works in one process only", "choose another type")
    if not is_written_elsewhere or in_memory(configuration):
        return
    for path in read_entry(catalog, name).paths:
        if not _is_address(path) and not path.is_relative_to(place.folder):
            reason = f"another machine would write {path} to its own disk"
            raise _cannot_travel(name, reason, f"give it a path in data/, which is {place.folder}")


def _cannot_travel(name: str, reason: str, cure: str) -> DataError:
    return DataError(
        f"the catalog's entry '{name}' cannot travel to another machine, because {reason}: {cure}, "
        "or run without --runner=RayRunner",
        name=name,
    )


def _paths_outside(
    pipeline: Pipeline, catalog: CatalogProtocol[str, Any], place: Place
) -> set[tuple[str, str]]:
    """Names of inputs with the paths outside the data folder, or in a parameter, that they name."""
    found = set()
    for node in pipeline.nodes:
        read = NodeCache(catalog).list_paths(node).read
        # a parameter keeps its path, wherever the data are
        given = [
            (n, p) for n in node.inputs if is_parameter(n) for p in read_entry(catalog, n).paths
        ]
        if place.storage is None:
            given = [(n, p) for n, p in given if not p.is_relative_to(place.folder)]
        outside = [path for path in read if not path.is_relative_to(place.folder)]
        named = ", ".join(name for name in node.inputs if not is_parameter(name))
        given += [(named, path) for path in outside]
        found |= {(name, str(path)) for name, path in given if not _is_address(path)}
    return found


def _is_address(path: Path) -> bool:
    """Whether a path was an address such as ``s3://bucket``; it has lost one slash."""
    return ":" in path.parts[0] and not path.drive if path.parts else False


def _require_seen(
    machine: Machine,
    place: Place,
    token: str,
    paths: list[tuple[str, str]],
    tracking_uri: str | None,
) -> None:
    wanted = [path for _, path in paths]
    seen = _ask(machine, look_around, place, token, wanted, tracking_uri)
    if not seen.token:
        raise DataError(
            f"the machine {machine.name} does not see the data folder {place.folder}: set "
            "data_folder to a folder that all machines have mounted, or ray.storage to an address "
            "such as s3://bucket/mlic",
            path=place.folder,
            name=machine.name,
        )
    for (name, path), is_there in zip(paths, seen.paths, strict=True):
        if not is_there:
            raise DataError(
                f"the machine {machine.name} has no {path}, which '{name}' names: put it in the "
                f"data folder {place.folder} or at this path on every machine",
                path=Path(path),
                name=name,
            )
    if seen.trouble is not None:
        raise TrainingError(
            f"the machine {machine.name} cannot reach MLflow's server {tracking_uri} "
            f"({seen.trouble}): set MLFLOW_TRACKING_URI to an address that all machines reach",
            name=machine.name,
        )


class Seen(NamedTuple):
    """What a machine sees."""

    token: bool
    paths: list[bool]
    trouble: str | None  # with MLflow's server


def look_around(place: Place, token: str, paths: list[str], tracking_uri: str | None) -> Seen:
    """Look, on another machine, for a file in the data folder, for paths, and for a server."""
    folder = place.find()
    mirror = place.mirror(folder)
    if mirror is not None:
        mirror.pull([token])
    trouble = None
    if tracking_uri is not None and tracking_uri.startswith("http"):
        parts = urlsplit(tracking_uri)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        try:
            with closing(socket.create_connection((parts.hostname, port), _CONNECT_SECONDS)):
                pass
        except OSError as error:
            trouble = str(error)
    return Seen((folder / token).is_file(), [Path(path).exists() for path in paths], trouble)


def _ask(machine: Machine, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function on one machine of the cluster."""
    ray = import_ray()
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    task = ray.remote(function).options(
        num_cpus=0, max_retries=1, scheduling_strategy=strategy(machine.id, soft=False)
    )
    try:
        return ray.get(task.remote(*arguments), timeout=_ASK_SECONDS)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, DataError):
            cause.args = (f"the machine {machine.name}: {cause}",)
            raise cause from None
        raise _unable(machine, cause) from error
    except ray.exceptions.RayError as error:
        raise _unable(machine, error) from error


def _unable(machine: Machine, error: BaseException) -> TrainingError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = next((line for line in reversed(lines) if "Error" in line), (lines or ["?"])[0])
    return TrainingError(
        f"the machine {machine.name} cannot run mlic ({reason}): install the same versions of "
        "Python and of mlic[ray] there as here",
        name=machine.name,
    )

"""Nodes on the machines of a Ray cluster; those that are up to date are skipped."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from mlic.errors import TrainingError
from mlic.runners.node_cache import NodeCache
from mlic.runners.parcel import Place, pack, run_parcel
from mlic.runners.ray_cluster import (
    Needs,
    connected,
    import_ray,
    list_machines,
    require_travel,
)
from mlic.runners.skip_unchanged import SkipUnchanged
from mlic.tracking.runs import parent_settings, parent_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node
    from kedro.runner.task import Task
    from pluggy import PluginManager

    from mlic.config.cluster import RayOptions

__all__ = ["RayRunner"]

log = logging.getLogger(__name__)


class RayRunner(SkipUnchanged):
    """Runs nodes side by side on the machines of a Ray cluster, or on this machine alone.

    The parameters are those of the section ``ray``; see `mlic.config.cluster.RayOptions`. The
    process that starts the run decides which nodes are up to date and records the others, as with
    the other runners. A node whose machine or process is lost starts again on another one; a
    training continues after the last epoch that it has saved. Hooks of nodes and datasets are not
    called on the machines; this is so in Kedro's parallel runner too.

    Raises
    ------
    TrainingError
        If Ray is not installed, its address cannot be reached, a machine cannot run mlic, or a node
        is lost too often.
    DataError
        If an entry of the catalog cannot travel, or a machine does not see the data.
    ParameterError
        If no machine has as many GPUs or processors as a node asks for.
    """

    def __init__(self, is_async: bool = False) -> None:
        super().__init__(is_async)
        self._pool: _Nodes | None = None

    def _run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol[str, Any],
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
    ) -> None:
        if not pipeline.nodes:
            return
        options, training, place = _read_parameters(catalog)
        with connected(options):
            machines = list_machines()
            needs = Needs.choose(options, *training, machines)
            uri = parent_uri() if parent_settings() else None
            require_travel(pipeline, catalog, place, machines, uri)
            log.info(
                "%d machine%s: %s",
                len(machines),
                "s" if len(machines) > 1 else "",
                ", ".join(f"{m.name} ({m.cpus:g} CPUs, {m.gpus:g} GPUs)" for m in machines),
            )
            self._pool = _Nodes(len(pipeline.nodes), self._has_to_run, place, needs, options)
            super()._run(pipeline, catalog, hook_manager, run_id)

    def _get_executor(self, max_workers: int) -> _Nodes | None:
        return self._pool


def _read_parameters(
    catalog: CatalogProtocol[str, Any],
) -> tuple[RayOptions, tuple[int, int], Place]:
    """Section ``ray``, devices and threads of a training, and the place of the data."""
    from mlic.config.cluster import RayOptions
    from mlic.training.options import ROLES, TrainingOptions

    raw = {name: catalog.get(f"params:{name}") for name in ("ray", "training", "data_folder")}
    given = {name: entry.load() for name, entry in raw.items() if entry is not None}
    # Kedro completes a section only if a node of the selected pipelines reads it
    options = RayOptions.model_validate(given.get("ray", {}))
    training = TrainingOptions.model_validate(given.get("training", {}))
    devices = max(training.for_role(role).devices for role in ROLES)
    folder = Path(given.get("data_folder", "data")).absolute()
    return options, (devices, training.threads), Place.from_options(folder, options)


class _Nodes(ThreadPoolExecutor):
    """Waits, in one thread for each node, for the Ray task that runs it."""

    def __init__(
        self,
        max_workers: int,
        has_to_run: Callable[[Node, NodeCache], bool],
        place: Place,
        needs: Needs,
        options: RayOptions,
    ) -> None:
        super().__init__(max_workers, "node")
        self._has_to_run, self._place, self._needs = has_to_run, place, needs
        self._options = options
        self._mirror = place.mirror(place.folder)
        self._running: dict[str, Any] = {}  # Ray's reference by name of the node
        self._is_stopped = False
        # Looking for changes parses code, which CPython cannot do in two threads at once.
        self._lock = Lock()

    def submit(self, task: Task) -> Future[Node]:  # type: ignore[override]
        with self._lock:
            has_to_run = self._has_to_run(task.node, NodeCache(task.catalog))
        if has_to_run:
            return super().submit(self._run_recorded, task)
        done: Future[Node] = Future()
        done.set_result(task.node)
        return done

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # After an error, what runs on other machines is finished and kept; a signal stops it.
        if error is not None and not isinstance(error, Exception):
            self._is_stopped = True
            for reference in [*self._running.values()]:
                import_ray().cancel(reference, force=True)
        super().__exit__(kind, error, traceback)

    def _run_recorded(self, task: Task) -> Node:
        node, catalog = task.node, task.catalog
        with self._recorded(task):
            parcel = pack(node, catalog, self._place, task.run_id)
            if self._mirror is not None:
                self._mirror.push([*parcel.reads, *parcel.continues])
            values, written = self._run_until_done(parcel)
            if self._mirror is not None:
                self._mirror.pull(written)
            for name, value in values.items():
                catalog.save(name, value)
        return node

    @contextmanager
    def _recorded(self, task: Task) -> Iterator[None]:
        """Record a node that runs in this block; other threads wait only for the record."""
        with ExitStack() as stack:
            with self._lock:
                stack.enter_context(NodeCache(task.catalog).record(task.node))
            yield
            with self._lock:
                stack.close()

    def _run_until_done(self, parcel: Any) -> Any:
        """Run a node as a Ray task, and again if its machine or process is lost."""
        ray = import_ray()
        name, errors = parcel.node.name, ray.exceptions
        lost = (
            *(errors.WorkerCrashedError, errors.NodeDiedError, errors.LocalRayletDiedError),
            *(errors.OutOfMemoryError, errors.ObjectLostError),
        )
        needs = self._needs.of(parcel.node)
        remote = ray.remote(run_parcel).options(name=name, max_retries=0, **needs)
        for number in range(self._options.retries + 1):
            self._running[name] = remote.remote(parcel)
            try:
                return ray.get(self._running[name])
            except errors.RayTaskError as error:
                raise error.cause from error
            except lost as error:
                reason = type(error).__name__
                if self._is_stopped:
                    raise
                tries = f"{number + 1} of {self._options.retries + 1}"
                log.warning(
                    "%s: its machine or process was lost in try %s (%s)", name, tries, reason
                )
            finally:
                del self._running[name]
        raise TrainingError(
            f"{name}: its machine or process was lost {self._options.retries + 1} times, the last "
            f"time by {reason}: look at the machines' memory and at Ray's log, or raise "
            "ray.retries; the same command continues from what is finished",
            name=name,
        )

"""Nodes in parallel processes, above all teachers; those that are up to date are skipped."""

from __future__ import annotations

import logging
import os
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from kedro.runner import AbstractRunner
from kedro.runner import ParallelRunner as KedroParallelRunner
from kedro.runner.parallel_runner import ParallelRunnerManager

from mlic.errors import TrainingError
from mlic.runners.node_cache import NodeCache
from mlic.runners.skip_unchanged import SkipUnchanged
from mlic.utils.logging import set_up_logging
from mlic.utils.signals import end_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.queues import SimpleQueue

    from kedro.io import SharedMemoryCatalogProtocol
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node
    from kedro.runner.task import Task
    from pluggy import PluginManager

__all__ = ["ParallelRunner"]


class ParallelRunner(SkipUnchanged, KedroParallelRunner):  # type: ignore[misc]
    """Kedro's parallel runner, which skips nodes that are up to date and gives each worker a GPU.

    Workers are spawned, never forked: neither CUDA nor the threads of OpenMP survive a fork. Hooks
    of nodes and datasets are not called in the workers; this is so in Kedro's parallel runner too.
    By default there is one worker for each GPU, or for ``training.devices`` of them; without a GPU,
    as many as the cores allow when each has ``training.threads`` threads a device, but at least
    two. All of them end with the main process, even if it is killed.

    Raises
    ------
    TrainingError
        If a worker is killed. The field ``names`` has the nodes that were given to workers.
    """

    def __init__(self, max_workers: int | None = None, is_async: bool = False) -> None:
        # Not that of Kedro's parallel runner, whose manager process would outlive a killed parent.
        AbstractRunner.__init__(self, is_async)
        self._manager = ParallelRunnerManager()
        self._manager.start(end_with_parent)
        self._max_workers = self._validate_max_workers(max_workers)
        self._requested = max_workers
        self._gpus: list[str] = []  # of one worker each, separated by commas
        self._pool: _Pool | None = None

    def _run(
        self,
        pipeline: Pipeline,
        catalog: SharedMemoryCatalogProtocol,  # type: ignore[override]
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
    ) -> None:
        if pipeline.nodes:
            # Counted here and not at the start: asking torch takes a second, often for nothing.
            devices, threads = _demand(catalog)
            self._gpus = _group_gpus(visible_gpus(), devices)
            on_cpu = _workers_on_cpu(devices * threads)
            self._max_workers = self._requested or len(self._gpus) or on_cpu
            try:
                super()._run(pipeline, catalog, hook_manager, run_id)
            except BrokenProcessPool as error:
                raise self._explain_kill() from error

    def _explain_kill(self) -> TrainingError:
        names = self._pool.list_lost() if self._pool else []
        return TrainingError(
            f"a worker process was killed, perhaps because memory ran out; {', '.join(names)} did "
            "not end. Lower training.batch_size by --params, or run fewer nodes at a time by "
            "ParallelRunner(max_workers=...) or without --runner; the same command continues from "
            "what is finished",
            names=names,
            max_workers=self._max_workers,
        )

    def _get_executor(self, max_workers: int) -> ProcessPoolExecutor:
        context = get_context("spawn")
        devices: SimpleQueue[str] = context.SimpleQueue()
        for worker in range(max_workers if self._gpus else 0):
            devices.put(self._gpus[worker % len(self._gpus)])
        arguments = max_workers, context, _set_up_worker, (devices,)
        self._pool = _Pool(self._has_to_run, *arguments)
        return self._pool


class _Pool(ProcessPoolExecutor):
    """Runs those of Kedro's tasks that have to run, and records them in the workers."""

    def __init__(self, has_to_run: Callable[[Node, NodeCache], bool], *arguments: Any) -> None:
        super().__init__(*arguments)
        self._has_to_run = has_to_run
        self._given: dict[str, Future[Node]] = {}  # to workers, by name of the node

    def submit(self, task: Task) -> Future[Node]:  # type: ignore[override]
        if self._has_to_run(task.node, NodeCache(task.catalog)):
            self._given[task.node.name] = super().submit(_run_recorded, task)
            # Python's pool may have begun to wait before it started the worker of this task. Then
            # it would not see that this worker is killed until another one has ended its task.
            with self._shutdown_lock:
                self._executor_manager_thread_wakeup.wakeup()
            return self._given[task.node.name]
        done: Future[Node] = Future()
        done.set_result(task.node)
        return done

    def list_lost(self) -> list[str]:
        """Names of the nodes that did not end because a worker was killed."""
        return [
            name
            for name, future in self._given.items()
            if future.done() and isinstance(future.exception(), BrokenProcessPool)
        ]


def _run_recorded(task: Task) -> Node:
    """Run a task in a worker, and record its node."""
    with NodeCache(task.catalog).record(task.node):
        return task()


def visible_gpus() -> list[str]:
    """Names of the GPUs that torch may use, as ``CUDA_VISIBLE_DEVICES`` lists them."""
    import torch

    number = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return (named if named != [""] else [str(index) for index in range(number)])[:number]


def _demand(catalog: SharedMemoryCatalogProtocol) -> tuple[int, int]:
    """Devices of the largest training, and CPU threads on each of them."""
    entry = catalog.get("params:training")
    if entry is None:
        return 1, 1
    from mlic.training.options import ROLES, TrainingOptions  # pydantic is slow to load

    # Kedro makes options of it only where a node of the selected pipelines declares their type.
    training = TrainingOptions.model_validate(entry.load())
    devices = max(training.for_role(role).devices for role in ROLES)
    return devices, training.threads


def _workers_on_cpu(threads: int) -> int:
    return max(2, (os.cpu_count() or 1) // threads)


def _group_gpus(gpus: list[str], size: int) -> list[str]:
    """Divide GPUs among workers, so many to each; those left over are not used.

    Examples
    --------
    >>> _group_gpus(["0", "1", "2", "3", "4"], 2)
    ['0,1', '2,3']
    """
    return [",".join(gpus[first : first + size]) for first in range(0, len(gpus) - size + 1, size)]


def _set_up_worker(devices: SimpleQueue[str]) -> None:
    """Let this worker log as the main process does, give it GPUs, and end it with its parent."""
    end_with_parent()
    set_up_logging()
    logging.getLogger("kedro_viz").setLevel(logging.ERROR)  # warns about every dataset in a worker
    # CUDA reads the variable when it is first used, which is later, in a node.
    if not devices.empty():
        os.environ["CUDA_VISIBLE_DEVICES"] = devices.get()

"""A study's tasks over processes."""

from __future__ import annotations

import os
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from heapq import heapify, heappop, heappush
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["spread"]

Task = TypeVar("Task")


def spread(work: Mapping[int, Sequence[Task]], do: Callable[[Task], None], workers: int) -> None:
    """Do the tasks of each seed one after the other, the first tasks of all seeds first.

    Parameters
    ----------
    work
        Tasks of every seed: a later one may read what an earlier one left.
    do
        Does a task; a function of a module, since processes are spawned.
    workers
        Processes; a single one is this one.
    """
    ready = [(0, seed) for seed, tasks in work.items() if tasks]
    heapify(ready)
    if workers == 1:
        while ready:
            place, seed = heappop(ready)
            do(work[seed][place])
            _go_on(ready, work, place, seed)
        return
    running: dict[Future[None], tuple[int, int]] = {}
    with ProcessPoolExecutor(workers, get_context("spawn"), _end_with_parent) as pool:
        while ready or running:
            while ready and len(running) < workers:
                place, seed = heappop(ready)
                running[pool.submit(do, work[seed][place])] = place, seed
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                future.result()
                _go_on(ready, work, *running.pop(future))


def _go_on(
    ready: list[tuple[int, int]], work: Mapping[int, Sequence[Task]], place: int, seed: int
) -> None:
    if place + 1 < len(work[seed]):
        heappush(ready, (place + 1, seed))


def _end_with_parent() -> None:
    """Let a process end when that of the study is killed, in the midst of its task."""

    def wait_for_parent() -> None:
        parent = parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    Thread(target=wait_for_parent, daemon=True).start()

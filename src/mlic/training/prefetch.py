"""Prefetching: the CPU prepares the next batch while the device works on the current one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["prefetch"]

Item = TypeVar("Item")
Made = TypeVar("Made")


def prefetch(
    items: Iterable[Item], make: Callable[[Item], Made], ahead: bool = True
) -> Iterator[tuple[Item, Made]]:
    """Pair every item with the result of a function, computed one item ahead in a thread.

    Items are taken in the calling thread. Exceptions of the function are raised when the item's
    result is due. With ``ahead=False`` every result is computed when it is due, without a thread.

    Examples
    --------
    >>> list(prefetch(range(3), str))
    [(0, '0'), (1, '1'), (2, '2')]
    """
    if not ahead:
        yield from ((item, make(item)) for item in items)
        return
    waiting: list[tuple[Item, Future[Made]]] = []
    # One thread and one item ahead: no more than two results are in memory.
    with ThreadPoolExecutor(1) as thread:
        for item in items:
            waiting.append((item, thread.submit(make, item)))
            if len(waiting) == 2:
                first, made = waiting.pop(0)
                yield first, made.result()
        yield from ((item, made.result()) for item, made in waiting)

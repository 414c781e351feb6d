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

    Parameters
    ----------
    items
        The items; taken in the calling thread, one ahead.
    make
        The function; called once for each item, in order. Its exceptions are raised when the item's
        result is due.
    ahead
        False computes every result when it is due, without a thread: where the CPU also trains,
        prefetching has no benefit.

    Examples
    --------
    >>> list(prefetch(range(3), str))
    [(0, '0'), (1, '1'), (2, '2')]
    """
    if not ahead:
        yield from ((item, make(item)) for item in items)
        return
    waiting: list[tuple[Item, Future[Made]]] = []
    with ThreadPoolExecutor(1) as thread:
        for item in items:
            waiting.append((item, thread.submit(make, item)))
            if len(waiting) == 2:
                yield _result(*waiting.pop(0))
        for pair in waiting:
            yield _result(*pair)


def _result(item: Item, made: Future[Made]) -> tuple[Item, Made]:
    return item, made.result()

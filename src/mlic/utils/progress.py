"""How far long work has come: a bar on a terminal, elsewhere a line in the log now and then.

A worker process, a log file and a log of JSON lines are no place for a bar: there a line of the
same content is logged every half minute.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["progress"]

logger = logging.getLogger(__name__)

PAUSE = 30.0  # seconds between two lines
_LINE = "{desc}: {percentage:.0f} % of {total_fmt}, {rate_fmt}, {remaining} left{postfix}"


def progress(
    items: Iterable[Any] | None = None,
    *,
    what: str,
    unit: str,
    total: int | None = None,
    initial: int = 0,
) -> tqdm[Any]:
    """Show how far work has come, with a rate and the time that is left.

    Parameters
    ----------
    items
        Iterated over; without them the bar is moved by its ``update``.
    what
        What is done, in a word or two.
    unit
        What is counted.
    total
        How many there are; needed where ``items`` do not know.
    initial
        How many are done already.

    Returns
    -------
    tqdm.tqdm

    Examples
    --------
    >>> sum(progress([1, 2, 3], what="adding", unit="number"))
    6
    """
    from tqdm import tqdm

    # leave=False: what was done says so in the log
    shared: dict[str, Any] = {
        "desc": what,
        "unit": unit,
        "total": total,
        "initial": initial,
        "leave": False,
    }
    if _has_terminal():
        return tqdm(items, **shared)
    line = _LINE.replace("rate_fmt", "rate_noinv_fmt")
    return tqdm(items, **shared, file=_Lines(), mininterval=PAUSE, bar_format=line)


def _has_terminal() -> bool:
    """Whether a person looks, and nobody else writes."""
    alone = multiprocessing.parent_process() is None
    return alone and sys.stderr.isatty() and not os.environ.get("MLIC_LOG")


class _Lines:
    """A file that logs what is written to it, if it has been silent for a while."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def write(self, text: str) -> None:
        line = text.strip()
        if line and time.monotonic() - self._last >= PAUSE:
            self._last = time.monotonic()
            logger.info("%s", line)

    def flush(self) -> None:
        """Nothing is held back."""

"""Progress of long work: a bar on a terminal, elsewhere a line in the log every half minute.

Lines are logged where a bar would disturb: in worker processes, log files and logs of JSON lines.
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

SECONDS_BETWEEN_LINES = 30.0
_LINE = "{desc}: {percentage:.0f} % of {total_fmt}, {rate_fmt}, {remaining} left{postfix}"


def progress(
    items: Iterable[Any] | None = None,
    *,
    what: str,
    unit: str,
    total: int | None = None,
    initial: int = 0,
) -> tqdm[Any]:
    """Show the progress of work, with a rate and the estimated time that is left.

    Parameters
    ----------
    items
        What to iterate over. Without items, call ``update`` of the bar.
    what, unit
        Name of the work, in a word or two, and of one item.
    total, initial
        Number of items, where ``items`` has no length, and of those that are done already.
    """
    from tqdm import tqdm

    # leave=False: a finished bar disappears, because what finishes is logged.
    shared: dict[str, Any] = {"desc": what, "unit": unit, "total": total, "leave": False}
    shared["initial"] = initial
    if _has_terminal():
        return tqdm(items, **shared)
    # Slow work would be shown as seconds an item; lines are easier to compare with one unit.
    line = _LINE.replace("rate_fmt", "rate_noinv_fmt")
    return tqdm(items, **shared, file=_Lines(), mininterval=SECONDS_BETWEEN_LINES, bar_format=line)


def _has_terminal() -> bool:
    """Whether stderr is a terminal that no other process writes to."""
    is_main = multiprocessing.parent_process() is None
    return is_main and sys.stderr.isatty() and not os.environ.get("MLIC_LOG")


class _Lines:
    """A file that logs what is written to it, at most one line in an interval."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def write(self, text: str) -> None:
        """Log the text, unless a line was logged a short time ago."""
        line = text.strip()
        if line and time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            logger.info("%s", line)

    def flush(self) -> None:
        """Do nothing: lines are logged at once."""

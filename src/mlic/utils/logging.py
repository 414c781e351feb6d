"""The format of the log: readable lines, lines of JSON, or only warnings and errors.

The environment variable ``MLIC_LOG`` selects it: unset, ``json`` or ``quiet``. Levels are set in
`conf/logging.yml`. Kedro cannot load classes of a project from there, so its handler is replaced
here.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

from rich.logging import RichHandler

from mlic.errors import ParameterError

__all__ = ["log_format", "set_up_logging"]

_NAME = "mlic"  # of the handler


def log_format() -> str:
    """Read the format of the log from ``MLIC_LOG``: ``""`` (readable), ``"json"`` or ``"quiet"``.

    Another value raises `ParameterError`.
    """
    style = os.environ.get("MLIC_LOG", "")
    if style not in ("", "json", "quiet"):
        raise ParameterError(
            f"the environment variable MLIC_LOG is '{style}': set it to json or quiet, or unset it",
            name="MLIC_LOG",
            value=style,
        )
    return style


def set_up_logging() -> None:
    """Let this process log in the selected format, see `log_format`, instead of Kedro's."""
    # Called again in one process, it replaces its own handler, so that no line appears twice. The
    # handler has a name, because a notebook may load this module anew.
    root, handler = logging.getLogger(), _make_handler(log_format())
    handler.set_name(_NAME)
    for other in [*root.handlers]:
        if other.get_name() == _NAME or isinstance(other, RichHandler):
            root.removeHandler(other)
    root.addHandler(handler)


def _make_handler(style: str) -> logging.Handler:
    handler: logging.Handler
    if style == "json":
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(_JsonLines())
    elif sys.stdout.isatty():
        handler = _HandlerBesideBars(rich_tracebacks=True, show_path=False)
    else:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.setLevel(logging.WARNING if style == "quiet" else logging.NOTSET)
    # Filters of a handler see the records of all loggers, filters of a logger only its own.
    for one in (_OneLinePerNode(), _WarnOnce()):
        handler.addFilter(one)
    return handler


class _HandlerBesideBars(RichHandler):
    """Hides progress bars while a line is written, so that they do not mix."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        from tqdm import tqdm  # here: commands without progress bars need not load it

        with tqdm.external_write_mode():
            super().emit(record)


class _JsonLines(logging.Formatter):
    """One JSON object per record; what is logged as ``extra={"data": …}`` is its ``data``."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (data := getattr(record, "data", None)) is not None:
            line["data"] = data
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _OneLinePerNode(logging.Filter):
    """Joins the two lines that Kedro's runners log after each node."""

    _node: object = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Hold the name of a node until it is counted; drop the advice on asynchronous loading."""
        message = str(record.msg)
        if message == "Completed node: %s" and isinstance(record.args, tuple):
            (self._node,) = record.args
            return False
        if message == "Completed %d out of %d tasks" and isinstance(record.args, tuple):
            record.msg, record.args = "Completed %d of %d: %s", (*record.args, self._node)
        return not message.startswith("Using synchronous mode")


class _WarnOnce(logging.Filter):
    """Drops warnings that have been logged before."""

    def __init__(self) -> None:
        super().__init__()
        self._logged: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass everything but repeated warnings."""
        if record.levelno != logging.WARNING:
            return True
        # The text with its values: the same warning about another file is another warning.
        message = record.getMessage()
        known = message in self._logged
        self._logged.add(message)
        return not known

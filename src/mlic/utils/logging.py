"""How a run speaks: in lines for a person, in lines of JSON, or only of what went wrong.

The environment's variable ``MLIC_LOG`` says which: unset, ``json`` or ``quiet``. What is worth a
line stands in `conf/logging.yml`; since Kedro lets no class of a project stand there, its handler
is exchanged here.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

from rich.logging import RichHandler

from mlic.errors import ParameterError

__all__ = ["log_form", "set_up_logging"]

_ours: list[logging.Handler] = []  # the handler of this process, if it has one


def log_form() -> str:
    """What ``MLIC_LOG`` asks for.

    Returns
    -------
    str
        ``""`` (lines for a person), ``"json"`` or ``"quiet"``.

    Raises
    ------
    ParameterError
        If it asks for something else.
    """
    form = os.environ.get("MLIC_LOG", "")
    if form not in ("", "json", "quiet"):
        raise ParameterError(f"MLIC_LOG is '{form}': set it to json or quiet, or unset it")
    return form


def set_up_logging() -> None:
    """Let this process log in the form asked for, in place of Kedro's.

    Raises
    ------
    ParameterError
        If ``MLIC_LOG`` asks for no known form.
    """
    root, handler = logging.getLogger(), _make_handler(log_form())
    for other in [one for one in root.handlers if one in _ours or isinstance(one, RichHandler)]:
        root.removeHandler(other)
    root.addHandler(handler)
    _ours[:] = [handler]


def _make_handler(form: str) -> logging.Handler:
    handler: logging.Handler
    if form == "json":
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(_JsonLines())
    elif sys.stdout.isatty():
        handler = _BesideBars(rich_tracebacks=True, show_path=False)
    else:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.setLevel(logging.WARNING if form == "quiet" else logging.NOTSET)
    for one in (_OneLineANode(), _WarnOnce()):
        handler.addFilter(one)
    return handler


class _BesideBars(RichHandler):
    """Takes the bars away while a line is written, so that it does not run through them."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        from tqdm import tqdm

        with tqdm.external_write_mode():
            super().emit(record)


class _JsonLines(logging.Formatter):
    """One JSON object a record; what is given as ``extra={"data": …}`` stands under ``data``."""

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


class _OneLineANode(logging.Filter):
    """Makes one line of what Kedro's runners say in two when a node has run."""

    _node: object = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep a node's name until it is counted; drop the advice on asynchronous loading."""
        message = str(record.msg)
        if message == "Completed node: %s" and isinstance(record.args, tuple):
            (self._node,) = record.args
            return False
        if message == "Completed %d out of %d tasks" and isinstance(record.args, tuple):
            record.msg, record.args = "Completed %d of %d: %s", (*record.args, self._node)
        return not message.startswith("Using synchronous mode")


class _WarnOnce(logging.Filter):
    """Drops a warning that has been given before."""

    def __init__(self) -> None:
        super().__init__()
        self._given: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep what is no warning, and the first of each."""
        if record.levelno != logging.WARNING:
            return True
        message = record.getMessage()
        known = message in self._given
        self._given.add(message)
        return not known

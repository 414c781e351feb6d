"""What a person reads on the terminal: the closing table, and errors without a wall."""

from __future__ import annotations

import errno
import logging
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mlic.errors import MlicError
from mlic.utils.logging import log_format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

__all__ = [
    "PlainExcepthook",
    "closing_table",
    "exit_codes",
    "find_mlic_error",
    "is_news",
    "main_figures",
    "show_results",
]

logger = logging.getLogger(__name__)

_METRICS = ("mAP", "CF1", "OF1")
_SYSTEM = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}
_RESUME = "finished work is kept, the same command goes on from there"


def closing_table(summary: Mapping[str, Any]) -> Table:
    """Set out what was trained: a row for each baseline, each strategy's teachers, the student.

    Parameters
    ----------
    summary
        The summary of a run: figures in percent under ``baseline``, ``longer`` (the baseline given
        the whole budget), ``teachers.<strategy>`` and ``student``, and seconds under the same
        names below ``seconds``. A part that is missing leaves its row or cell out.

    Returns
    -------
    rich.table.Table
        Figures in percent, times in seconds.

    Examples
    --------
    >>> table = closing_table({"baseline": {"mAP": 50.0}, "student": {"mAP": 53.04}})
    >>> table.row_count, list(table.columns[1].cells)
    (2, ['50.0', '53.0'])
    """
    table = Table(title="Results on the test split, in percent")
    table.add_column("")
    for name in (*_METRICS, "seconds"):
        table.add_column(name, justify="right")
    for label, figures, seconds in _rows(summary):
        cells = [_cell(figures.get(name), 1) for name in _METRICS]
        table.add_row(label, *cells, _cell(seconds, 0))
    return table


def show_results(summary: Mapping[str, Any], files: Sequence[str]) -> None:
    """Show the closing table, with the files to look at, in the form that the log has.

    Parameters
    ----------
    summary
        As of `closing_table`.
    files
        Paths, as a person would type them.
    """
    form = log_format()
    if form == "json":
        data = {**main_figures(summary), "files": list(files)}
        logger.info("Results on the test split, in percent", extra={"data": data})
    elif form != "quiet":
        table = closing_table(summary)
        table.caption = "\n".join(files) or None
        Console().print(table)


def _rows(
    summary: Mapping[str, Any],
) -> Iterator[tuple[str, Mapping[str, float], float | None]]:
    seconds = summary.get("seconds", {})
    if "baseline" in summary:
        yield "baseline", summary["baseline"], seconds.get("baseline")
    if "budget_matched_baseline" in summary:
        yield (
            "longer baseline",
            summary["budget_matched_baseline"],
            seconds.get("budget_matched_baseline"),
        )
    for strategy, figures in summary.get("teachers", {}).items():
        name = "plain ensemble" if strategy == "full_label" else f"teachers {strategy}"
        yield name, figures, seconds.get("teachers", {}).get(strategy)
    if "student" in summary:
        yield "student", summary["student"], seconds.get("student")


def _cell(number: float | None, digits: int) -> str:
    return "" if number is None else f"{number:.{digits}f}"


def main_figures(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Pick from a run's summary what runs are compared by.

    Returns
    -------
    dict
        Main figures of each model in percent; ``gain`` of the student over the baseline, and
        ``gain_over_budget_matched_baseline``, in points; seconds; and ``cost_in_baselines``, the
        passes over the training images of teachers and student.

    Examples
    --------
    >>> figures = main_figures({"baseline": {"mAP": 50.0}, "student": {"mAP": 52.5}, "seed": 3})
    >>> figures["gain"], list(figures)
    ({'mAP': 2.5}, ['baseline', 'student', 'gain'])
    """
    models = {
        name: summary[name]
        for name in ("baseline", "budget_matched_baseline", "student")
        if name in summary
    }
    teachers = summary.get("teachers", {})
    figures: dict[str, Any] = {name: _main(model) for name, model in models.items()}
    figures |= {f"teachers.{name}": _main(model) for name, model in teachers.items()}
    for gain, other in (
        ("gain", "baseline"),
        ("gain_over_budget_matched_baseline", "budget_matched_baseline"),
    ):
        if "student" in models and other in models:
            figures[gain] = _differ(models["student"], models[other])
    if passes := summary.get("passes"):
        figures["cost_in_baselines"] = round(passes["psd"] / passes["baseline"], 3)
    return figures | ({"seconds": summary["seconds"]} if "seconds" in summary else {})


def _main(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: figures[name] for name in _METRICS if name in figures}


def _differ(student: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    names = _main(student).keys() & other.keys()
    return {name: round(student[name] - other[name], 4) for name in _METRICS if name in names}


def find_mlic_error(error: BaseException | None) -> MlicError | None:
    """Find the first `MlicError` among an exception and what led to it.

    Examples
    --------
    >>> try:
    ...     raise ValueError("wrapped") from MlicError("label 'cat' is unknown")
    ... except ValueError as error:
    ...     find_mlic_error(error)
    MlicError("label 'cat' is unknown")
    """
    while error is not None and not isinstance(error, MlicError):
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return error


def _plain_words(error: BaseException) -> str | None:
    """What is told of an exception without its traceback; None if the traceback is needed."""
    if ours := find_mlic_error(error):
        return str(ours)
    if isinstance(error, OSError) and error.errno in _SYSTEM:
        return f"{error}: make room on the disk, or give access to it; {_RESUME}"
    return str(error).strip() if _is_kedros(error) else None


def _is_kedros(error: BaseException) -> bool:
    """Whether Kedro raises it on purpose: of an entry, a file or a name that it was given."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = "" if frame is None else frame.tb_frame.f_globals.get("__name__", "")
    slip = isinstance(error, TypeError | AttributeError | LookupError | AssertionError)
    return place.startswith("kedro.") and not slip


def is_news(record: logging.LogRecord) -> bool:
    """Filter for Kedro's log: keep all but an error that is about to be told by the excepthook."""
    return record.levelno < logging.ERROR or find_mlic_error(sys.exc_info()[1]) is None


class PlainExcepthook:
    """An excepthook that tells without a traceback what a person can mend.

    That is a `MlicError`, what Kedro finds wrong with names and files, and a disk without room; all
    else is left to another hook. The environment's ``MLIC_TRACEBACK=1`` brings the traceback back.

    Parameters
    ----------
    previous
        The hook for all other exceptions.
    """

    def __init__(self, previous: Callable[..., object]) -> None:
        self._previous = previous

    def __call__(
        self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        """Tell the exception on stderr."""
        plain = _plain_words(error)
        if issubclass(kind, KeyboardInterrupt):
            _tell("interrupted", _RESUME)
        elif plain is None or os.environ.get("MLIC_TRACEBACK") == "1":
            self._previous(kind, error, traceback)
        else:
            _tell("error", plain)


@contextmanager
def exit_codes() -> Iterator[None]:
    """Exit with 130 on Ctrl-C, where click would exit with 1, and say what becomes of the work."""
    try:
        yield
    except KeyboardInterrupt:
        _tell("interrupted", _RESUME)
        raise SystemExit(130) from None
    except SystemExit as stop:
        if stop.code == 143:
            _tell("terminated", _RESUME)
        raise


def _tell(what: str, message: str) -> None:
    if os.environ.get("MLIC_LOG") == "json":
        logger.error("%s: %s", what, message)
        return
    text = Text.assemble((f"{what}:", "bold red"), " ", message)
    Console(stderr=True).print(text, soft_wrap=True)

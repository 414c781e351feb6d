"""Output on the terminal: the results table of a run, and errors without a traceback."""

from __future__ import annotations

import errno
import logging
import os
import sys
from contextlib import contextmanager
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mlic.errors import MlicError
from mlic.report.names import MODELS, list_models
from mlic.utils.logging import log_format
from mlic.utils.memory import is_out_of_memory
from mlic.utils.reading import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

__all__ = [
    "PlainExcepthook",
    "exit_codes",
    "find_mlic_error",
    "is_news",
    "main_figures",
    "results_table",
    "show_results",
]

logger = logging.getLogger(__name__)

_METRICS = ("mAP", "CF1", "OF1")
_CONTROL = "budget_matched_baseline"
_SYSTEM_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}
_RESUME = "finished work is saved; run the same command again to continue"
_SIGTERM_CODE = 143  # exit code of `mlic.utils.signals.exit_on_sigterm`
_SIGINT_CODE = 130


# --- results ------------------------------------------------------------------------------------


def results_table(summary: Mapping[str, Any]) -> Table:
    """Make the results table: one row per baseline, ensemble of teachers, and student.

    The scores are in percent, the times in seconds. CF1 and OF1 are at 0.5 on the plain sigmoid,
    as papers report them; ``calibrated OF1`` is at the thresholds of calibrated models. What is
    missing in the summary leaves out its row or cell.

    Examples
    --------
    >>> table = results_table({"baseline": {"mAP": 50.0}, "student": {"mAP": 53.04}})
    >>> table.row_count, list(table.columns[1].cells)
    (2, ['50.0', '53.0'])
    """
    table = Table(title="Results on the test split, in percent")
    table.add_column("")
    for name in (*_METRICS, "calibrated OF1", "seconds"):
        table.add_column(name, justify="right")
    calibrated = {
        MODELS[name]: scores["OF1"]
        for name, scores in summary.get("calibrated", {}).items()
        if "OF1" in scores
    }
    for title, scores, seconds in list_models(summary):
        cells = [_cell(scores.get(name), 1) for name in _METRICS]
        table.add_row(title, *cells, _cell(calibrated.get(title), 1), _cell(seconds, 0))
    return table


def _cell(number: float | None, digits: int) -> str:
    return "" if number is None else f"{number:.{digits}f}"


def show_results(summary: Mapping[str, Any], files: Sequence[str]) -> None:
    """Show the results table and the files of the report, in the configured form of the log."""
    form = log_format()
    # A program that reads the log gets the numbers, not a table drawn for people.
    if form == "json":
        data = {**main_figures(summary), "files": list(files)}
        logger.info("Results on the test split, in percent", extra={"data": data})
    elif form != "quiet":
        table = results_table(summary)
        table.caption = "\n".join(files) or None
        Console().print(table)


def main_figures(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Select the numbers by which runs are compared.

    These are the main scores of each model in percent; ``gain`` of the student over the baseline
    and ``gain_over_budget_matched_baseline``, in points; ``cost_in_baselines``, the training passes
    of teachers and student in units of the baseline's; and ``seconds``.

    Examples
    --------
    >>> figures = main_figures({"baseline": {"mAP": 50.0}, "student": {"mAP": 52.5}, "seed": 3})
    >>> figures["gain"], list(figures)
    ({'mAP': 2.5}, ['baseline', 'student', 'gain'])
    """
    models = [name for name in ("baseline", _CONTROL, "student") if name in summary]
    figures: dict[str, Any] = {name: _main_scores(summary[name]) for name in models}
    for name, scores in summary.get("teachers", {}).items():
        figures[f"teachers.{name}"] = _main_scores(scores)
    for gain, other in (("gain", "baseline"), (f"gain_over_{_CONTROL}", _CONTROL)):
        if "student" in figures and other in figures:
            figures[gain] = _subtract(figures["student"], figures[other])
    if passes := summary.get("passes"):
        figures["cost_in_baselines"] = round(passes["psd"] / passes["baseline"], 3)
    return figures | ({"seconds": summary["seconds"]} if "seconds" in summary else {})


def _main_scores(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: scores[name] for name in _METRICS if name in scores}


def _subtract(student: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: round(student[name] - other[name], 4) for name in student if name in other}


# --- errors -------------------------------------------------------------------------------------


def find_mlic_error(error: BaseException | None) -> MlicError | None:
    """Find the first `MlicError` among an exception and its causes.

    Examples
    --------
    >>> try:
    ...     raise ValueError("wrapped") from MlicError("label 'cat' is unknown")
    ... except ValueError as error:
    ...     find_mlic_error(error)
    MlicError("label 'cat' is unknown")
    """
    return next((one for one in _causes(error) if isinstance(one, MlicError)), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception, its cause, the cause of that, and so on."""
    while error is not None:
        yield error
        # Python's own rule of which cause a traceback shows: `from None` hides the context.
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _is_refusal(error: BaseException) -> bool:
    """Whether the system refused to write or to read: the disk is full, or access is denied."""
    return isinstance(error, OSError) and error.errno in _SYSTEM_ERRORS


def _plain_message(error: BaseException) -> str | None:
    """Return the message of an exception that needs no traceback; None if it needs one."""
    if known := find_mlic_error(error):
        return str(known)
    # Datasets of other packages raise an error of Kedro, which names the file.
    if any(map(_is_refusal, _causes(error))):
        reason = " ".join(str(error).split()).rstrip(".")
        return f"{reason}: free space on the disk, or allow access to it; {_RESUME}"
    if is_out_of_memory(error):
        reason = one_line(error) or type(error).__name__
        return (
            f"memory ran out ({reason}): lower training.batch_size, "
            f"end other programs, or raise the limit of this one; {_RESUME}"
        )
    return str(error).strip() if _is_deliberate(error) else None


def _is_deliberate(error: BaseException) -> bool:
    """Check whether Kedro raised the error deliberately, because of a wrong name, entry or file."""
    # The innermost frame of the traceback is the place where the error was raised.
    frames = list(walk_tb(error.__traceback__))
    module = frames[-1][0].f_globals.get("__name__", "") if frames else ""
    # These types are raised by Python itself, so that even in Kedro's code they hint at a bug.
    bug = isinstance(error, TypeError | AttributeError | LookupError | AssertionError)
    return module.startswith("kedro.") and not bug


def is_news(record: logging.LogRecord) -> bool:
    """Filter Kedro's log: drop errors that the excepthook is about to print anyway."""
    error = sys.exc_info()[1]
    return record.levelno < logging.ERROR or error is None or _plain_message(error) is None


class PlainExcepthook:
    """An excepthook that prints errors the user can fix without a traceback.

    These are every `MlicError`, Kedro's errors about names and files, and a full or read-only disk.
    All others are passed to the previous hook, as are these if ``MLIC_TRACEBACK=1`` is set.
    """

    def __init__(self, previous: Callable[..., object]) -> None:
        self._previous = previous

    def __call__(
        self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        """Print the exception on stderr."""
        message = _plain_message(error)
        if issubclass(kind, KeyboardInterrupt):
            _print("interrupted", _RESUME)
        elif message is None or os.environ.get("MLIC_TRACEBACK") == "1":
            self._previous(kind, error, traceback)
        else:
            _print("error", message)


@contextmanager
def exit_codes() -> Iterator[None]:
    """Exit with 130 on Ctrl-C, where click would exit with 1, and say that work is saved."""
    try:
        yield
    except KeyboardInterrupt:
        _print("interrupted", _RESUME)
        raise SystemExit(_SIGINT_CODE) from None  # the shell's code for Ctrl-C: 128 + 2
    except SystemExit as stop:
        if stop.code == _SIGTERM_CODE:
            _print("terminated", _RESUME)
        raise


def _print(kind: str, message: str) -> None:
    if os.environ.get("MLIC_LOG") == "json":
        logger.error("%s: %s", kind, message)
        return
    text = Text.assemble((f"{kind}:", "bold red"), " ", message)
    Console(stderr=True).print(text, soft_wrap=True)

"""Being told to stop: SIGTERM unwinds the program, and pool workers really end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["exit_on_sigterm", "leaving_worker"]


def exit_on_sigterm() -> None:
    """Let SIGTERM unwind the program like Ctrl-C does, with exit code 143.

    Only from the main thread, and only where nobody else handles the signal.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _raise_exit)


def _raise_exit(*_: object) -> NoReturn:
    # A pool waits for its workers when it is left: they are told first. Daemons (the workers of a
    # DataLoader) end with their owner.
    for worker in multiprocessing.active_children():
        if not worker.daemon:
            worker.terminate()
    raise SystemExit(143)


@contextmanager
def leaving_worker(stop: BaseException) -> Iterator[None]:
    """End a worker process that was told to stop, after a last deed that is not interrupted.

    A pool would swallow the exception and hand the worker its next task. Any other exception, and
    any other process, passes unharmed.

    Parameters
    ----------
    stop
        The exception that ends the work.
    """
    told = multiprocessing.parent_process() and isinstance(stop, KeyboardInterrupt | SystemExit)
    if told and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield
    if told:
        os._exit(143 if isinstance(stop, SystemExit) else 130)

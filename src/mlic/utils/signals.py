"""Interruption: SIGTERM unwinds the program, and workers end when interrupted or left alone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.process import BaseProcess

__all__ = ["end_with_parent", "exit_on_sigterm", "finish_worker"]

_WATCH_SECONDS = 1.0  # between two looks at the parent, where its end wakes up no one


def exit_on_sigterm() -> None:
    """Let SIGTERM unwind the program as Ctrl-C does, with exit code 143.

    Nothing is done outside the main thread, or if the signal has a handler already.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _raise_exit)


def _raise_exit(*_: object) -> NoReturn:
    # Leaving a pool waits for its workers, so they have to be stopped first. Daemons, such as the
    # workers of a DataLoader, end with their owner.
    for worker in multiprocessing.active_children():
        if not worker.daemon:
            worker.terminate()
    raise SystemExit(143)


@contextmanager
def finish_worker(stop: BaseException) -> Iterator[None]:
    """End a worker process that was interrupted, after a last action that is not interrupted.

    The pool of the worker would catch the exception that ended the work, and give the worker its
    next task. Nothing is done in the main process, or for any other exception.
    """
    is_interrupt = isinstance(stop, KeyboardInterrupt | SystemExit)
    ends = multiprocessing.parent_process() is not None and is_interrupt
    if ends and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield
    if ends:
        # Shells report a process that ended by a signal as 128 + its number: 15 or 2.
        os._exit(143 if isinstance(stop, SystemExit) else 130)


def end_with_parent() -> None:
    """Let this worker process end at once when its parent has ended, whatever it is doing.

    A parent that is killed cannot stop its workers. The main process itself is not affected.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        arguments = parent, os.getppid()
        threading.Thread(target=_watch, args=arguments, name="parent", daemon=True).start()


def _watch(parent: BaseProcess, number: int) -> None:
    # A pipe of the parent closes when it ends. Should another process have inherited the pipe, the
    # number of this process's parent still changes.
    while parent.is_alive() and os.getppid() == number:
        parent.join(_WATCH_SECONDS)
    os._exit(1)  # nothing can be cleaned up: the main thread may be in the middle of anything

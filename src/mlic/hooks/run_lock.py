"""One run at a time in the data of an environment."""

from __future__ import annotations

import errno
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

if TYPE_CHECKING:
    from filelock import BaseFileLock
    from kedro.framework.context import KedroContext

__all__ = ["RunLock"]

log = logging.getLogger(__name__)

_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)


class RunLock:
    """Lets a second run of the same project and environment wait until the first has ended.

    Two runs at once would replace each other's files, and one could end with the figures of the
    other. Runs of different environments have different files.
    """

    def __init__(self) -> None:
        self._file: Path | None = None
        self._environment = ""
        self._lock: BaseFileLock | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember which data the runs of this session use."""
        loader: Any = context.config_loader  # Kedro types it as its base class
        self._environment = loader.folder
        self._file = Path(loader["parameters"]["data_folder"], f".run_{self._environment}.lock")

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self) -> None:
        """Wait for the run that is in progress, if there is one."""
        from filelock import FileLock, Timeout

        self._release()  # an earlier, interrupted run of this process
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            # The operating system releases it when the process ends, however it ends.
            lock = FileLock(self._file)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                log.info(
                    "Another run of the environment '%s' is in progress in this project: waiting "
                    "until it ends",
                    self._environment,
                )
                lock.acquire()
        except OSError as error:
            if error.errno not in _NOT_WRITABLE:
                raise
            return  # this run can write nothing here, and therefore disturbs no other
        self._lock = lock

    @hook_impl(trylast=True)
    def after_pipeline_run(self) -> None:
        """Let the next run start."""
        self._release()

    @hook_impl(trylast=True)
    def on_pipeline_error(self) -> None:
        """Let the next run start."""
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

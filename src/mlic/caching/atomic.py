"""The one way in which mlic writes files: complete or not at all."""

from __future__ import annotations

import os
import platform
import re
import shutil
import threading
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING

from mlic.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["atomic_write", "require_free_space", "wrap_write_errors"]


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Replace a file in one step, once its new content has been written without an error.

    The block writes the temporary file that it is given, in the same folder, which is made if
    necessary. Readers see the old file or the complete new one, never a part of it. When the block
    raises, or the process is interrupted, the old file stays as it is. Temporary files that killed
    processes of this host left in the folder are deleted.

    Raises
    ------
    DataError
        If the file cannot be written, for example because the disk is full. The field ``path``
        names the file.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "new" / "numbers.json"
    >>> with atomic_write(path) as partial:
    ...     _ = partial.write_text("[1, 2]")
    >>> path.read_text()
    '[1, 2]'
    """
    # Several processes and threads may write one file at a time: the last to finish wins.
    name = f"{path.name}{_mark()}{os.getpid()}-{threading.get_ident()}.partial"
    partial = path.with_name(name)
    with wrap_write_errors(path, partial):
        path.parent.mkdir(parents=True, exist_ok=True)
        _delete_leftovers(path.parent.absolute())
        try:
            yield partial
            # Atomic only within one file system, hence a temporary file in the same folder.
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


@cache
def _mark() -> str:
    """What the names of this host's temporary files have before the number of their process."""
    # Hosts, among them containers, share folders but not the numbers of their processes.
    return f".{platform.node()[:32]}-"


@cache  # a folder of many files is listed once
def _delete_leftovers(folder: Path) -> None:
    pattern = re.compile(re.escape(_mark()) + r"(\d+)-\d+\.partial$")
    found = [(name, pattern.search(name)) for name in os.listdir(folder)]
    left = [(name, int(match[1])) for name, match in found if match]
    if left:
        import psutil

        for name, process in left:
            if not psutil.pid_exists(process):
                with suppress(OSError):  # the new file does not depend on it
                    (folder / name).unlink()


@contextmanager
def wrap_write_errors(path: Path, *temporary: Path) -> Iterator[None]:
    """Turn an `OSError` about a file into a `DataError` that names it and the remedy.

    ``temporary`` are other names under which the block writes the file. Errors about any other file
    pass unchanged: they are about what the block reads.
    """
    try:
        yield
    except OSError as error:
        # A write to a full disk reports no file name; a missing source file does.
        own = {None, *map(os.fspath, (path, path.parent, *temporary))}
        if error.filename is not None and os.fspath(error.filename) not in own:
            raise
        raise DataError(
            f"{path} cannot be written ({error}): free space on its disk or give write access to "
            "it, then run the same command again; it continues from what is finished",
            path=path,
        ) from error


def require_free_space(folder: Path, num_bytes: int, what: str, advice: str = "") -> None:
    """Raise a `DataError` if the disk has no room for what will be written.

    The message names what needs the room, and gives an ``advice`` such as ``"lower
    data.store_size"``. The folder is made if necessary.
    """
    with wrap_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # Other processes may still take it meanwhile: an early and clear message, no guarantee.
        free = shutil.disk_usage(folder).free
    if num_bytes > free:
        raise DataError(
            f"{what} needs {num_bytes / 1e6:.0f} MB in {folder}, but that disk has only "
            f"{free / 1e6:.0f} MB free: free some space{advice and f' or {advice}'}",
            path=folder,
            expected=num_bytes,
            found=free,
        )

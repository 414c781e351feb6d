"""The one way in which mlic writes files: complete or not at all."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlic.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["atomic_write", "require_free_space", "wrap_write_errors"]


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Replace a file in one step, once its new content has been written without an error.

    Readers see the old file or the complete new one, never a part of it. When the block raises,
    or the process is interrupted, the old file stays as it is.

    Parameters
    ----------
    path
        The file to write. Its folder is made if necessary.

    Yields
    ------
    Path
        Temporary file in the same folder, to be written in the block.

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
    name = f"{path.name}.{os.getpid()}-{threading.get_ident()}.partial"
    partial = path.with_name(name)
    with wrap_write_errors(path, partial):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def wrap_write_errors(path: Path, *temporary: Path) -> Iterator[None]:
    """Turn an error of the operating system into one that names the file and the remedy.

    Parameters
    ----------
    path
        The file that is written in the block.
    *temporary
        Other names under which it is written. Errors about any other file pass unchanged: they
        are about what the block reads.

    Raises
    ------
    DataError
        In place of an `OSError`. The field ``path`` names the file.
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
    """Refuse to start writing what the disk has no room for.

    Parameters
    ----------
    folder
        Folder to write to. It is made if necessary.
    num_bytes
        Size of what will be written.
    what
        What will be written, for the message.
    advice
        How to need less space, such as ``"lower data.store_size"``.

    Raises
    ------
    DataError
        If the disk has too little free space. The field ``path`` names the folder.
    """
    with wrap_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    if num_bytes > free:
        raise DataError(
            f"{what} needs {num_bytes / 1e6:.0f} MB in {folder}, but that disk has only "
            f"{free / 1e6:.0f} MB free: free some space{advice and f' or {advice}'}",
            path=folder,
            expected=num_bytes,
            found=free,
        )

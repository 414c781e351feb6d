"""Shards: few large files of records, one after the other, whose places an index keeps."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

import numpy as np

from mlic.caching.atomic import atomic_write
from mlic.caching.blocks import damaged

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

__all__ = ["SHARD_BYTES", "ShardWriter", "read_record"]

SHARD_BYTES = 2**30  # a file that copies and file systems of any kind take


class ShardWriter:
    """Appends records to shards; every shard is complete or not there.

    A context manager: the last shard is complete when the block ends without an error.

    Parameters
    ----------
    folder, prefix
        The shards are ``<folder>/<prefix>-00000.bin`` and so on.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with ShardWriter(folder, "letters") as shards:
    ...     places = [shards.append(record) for record in (b"a", b"bcd")]
    >>> places, shards.sizes
    ([(0, 0), (0, 1)], {'letters-00000.bin': 4})
    >>> bytes(read_record(folder / "letters-00000.bin", 1, 3))
    b'bcd'
    """

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder, self._prefix = folder, prefix
        self._stack = ExitStack()
        self._file: BinaryIO | None = None
        self._name, self._size = "", 0
        self.sizes: dict[str, int] = {}  # bytes of every shard, by name, in order

    def append(self, record: bytes) -> tuple[int, int]:
        """Append a record; return the number of its shard, and where in it the record starts."""
        if self._file is None or self._size + len(record) > SHARD_BYTES:
            self._file, self._size = self._start(), 0
        start = self._size
        self._file.write(record)
        self._size += len(record)
        self.sizes[self._name] = self._size
        return len(self.sizes) - 1, start

    def _start(self) -> BinaryIO:
        self._stack.close()  # the shard before is complete
        self._name = f"{self._prefix}-{len(self.sizes):05}.bin"
        self.sizes[self._name] = 0
        partial = self._stack.enter_context(atomic_write(self._folder / self._name))
        return self._stack.enter_context(partial.open("wb"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)


def read_record(path: Path, start: int, size: int) -> NDArray[np.uint8]:
    """Read a record of a shard; a shard that is missing or too short raises `DataError`."""
    record = np.empty(size, dtype=np.uint8)
    try:
        # Opened each time: a terabyte has more shards than a process may have open files.
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            if file.readinto(record.data) == size:
                return record
    except OSError as error:
        raise damaged(path, f"{type(error).__name__}: {error}") from error
    raise damaged(path, "it is shorter than it was")

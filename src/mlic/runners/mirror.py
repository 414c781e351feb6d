"""A local folder whose files are copies of those in a folder at an address, such as a bucket."""

from __future__ import annotations

import json
import logging
import shutil
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from mlic.caching.atomic import atomic_write
from mlic.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Mirror"]

log = logging.getLogger(__name__)

_MEMO, _LOCK = ".copies.json", ".copies.lock"
_STAMPS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "updated", "created")


class Mirror:
    """Copies files in both directions, and only those that have changed since the last copy.

    A file that is deleted on one side is deleted on the other, if it was a copy. Several processes
    of one machine may use the same folder.

    Parameters
    ----------
    address
        Folder in any file system that fsspec knows: ``s3://bucket/mlic``, ``gs://bucket/mlic``,
        ``file:///mnt/shared``. The others than the last need a package of their own, such as s3fs.
    folder
        Local folder.

    Raises
    ------
    DataError
        If the address cannot be used, here and in all methods.

    Examples
    --------
    >>> import tempfile
    >>> one, other = (Path(tempfile.mkdtemp()) for _ in range(2))
    >>> shared = f"file://{tempfile.mkdtemp()}"
    >>> _ = (one / "a.txt").write_text("1")
    >>> Mirror(shared, one).push(["a.txt"])
    ['a.txt']
    >>> Mirror(shared, other).pull(["a.txt"])
    >>> (other / "a.txt").read_text()
    '1'
    """

    def __init__(self, address: str, folder: Path) -> None:
        from fsspec.core import url_to_fs

        self._address, self._folder = address, folder
        with self._explain():
            self._system, self._root = url_to_fs(address)
        self._system.auto_mkdir = True  # of local folders; a bucket has none

    def pull(self, names: Iterable[str]) -> None:
        """Copy files, and all files of folders, to the local folder."""
        with self._opened() as memo:
            for name in names:
                there = self._list(name)
                for key, info in there.items():
                    if memo.get(key) != [_token(info), self._state(key)]:
                        with atomic_write(self._folder / key) as partial:
                            self._system.get_file(info["name"], str(partial))
                        memo[key] = [_token(info), self._state(key)]
                for key in _below(name, memo) - there.keys():
                    (self._folder / key).unlink(missing_ok=True)
                    del memo[key]

    def push(self, names: Iterable[str]) -> list[str]:
        """Copy files, and all files of folders, to the address; return what there is, by name."""
        found: list[str] = []
        with self._opened() as memo:
            for name in names:
                there, here = self._list(name), self._list_here(name)
                for key in here:
                    known = memo.get(key, [None, None])
                    if key not in there or known[1] != self._state(key):
                        state = self._state(key)
                        memo[key] = [_token(self._upload(key)), state]
                for key in _below(name, memo) - here:
                    if key in there:
                        self._system.rm_file(there[key]["name"])
                    del memo[key]
                found += sorted(here)
        return found

    @contextmanager
    def kept_up_to_date(self, names: list[str], seconds: float = 1.0) -> Iterator[None]:
        """Push what changes in the block, so that a loss of this machine loses little.

        A look at the local files, every so many seconds, decides; without space or access at the
        address, a warning says so.
        """
        stop, before = Event(), self._states(names)

        def watch() -> None:
            seen = before
            while not stop.wait(seconds):
                if (found := self._states(names)) != seen:
                    seen = found
                    try:
                        self.push(names)
                    except DataError as error:
                        log.warning("A loss of this machine would lose a training: %s", error)

        watcher = Thread(target=watch, name="mirror", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()

    def _states(self, names: list[str]) -> dict[str, list[int] | None]:
        return {key: self._state(key) for name in names for key in self._list_here(name)}

    def _list(self, name: str) -> dict[str, dict[str, Any]]:
        """Description of each file at the address, by name."""
        self._system.invalidate_cache()
        start = f"{self._root}/{name}"
        found = self._system.find(start, detail=True)
        return {
            path[len(self._root) :].lstrip("/"): info
            for path, info in found.items()
            if path == start or path.startswith(f"{start}/")
        }

    def _list_here(self, name: str) -> set[str]:
        path = self._folder / name
        files = path.rglob("*") if path.is_dir() else [path]
        return {
            file.relative_to(self._folder).as_posix()
            for file in files
            # being written, or a lock
            if file.is_file() and not file.name.endswith((".partial", ".lock"))
        }

    def _upload(self, key: str) -> dict[str, Any]:
        path = f"{self._root}/{key}"
        # complete or not at all, in every file system
        with (
            self._system.transaction,
            (self._folder / key).open("rb") as source,
            self._system.open(path, "wb") as target,
        ):
            shutil.copyfileobj(source, target, 2**22)
        self._system.invalidate_cache()
        info: dict[str, Any] = self._system.info(path)
        return info

    def _state(self, key: str) -> list[int] | None:
        try:
            status = (self._folder / key).stat()
        except FileNotFoundError:
            return None
        return [status.st_size, status.st_mtime_ns]

    @contextmanager
    def _opened(self) -> Iterator[dict[str, list[Any]]]:
        """What was copied: for each name the token at the address and the state of the file."""
        from filelock import FileLock

        self._folder.mkdir(parents=True, exist_ok=True)
        memo = self._folder / _MEMO
        with FileLock(self._folder / _LOCK), self._explain():
            known = json.loads(memo.read_text(encoding="utf-8")) if memo.is_file() else {}
            copies: dict[str, list[Any]] = known.setdefault(self._address, {})
            try:
                yield copies
            finally:
                with atomic_write(memo) as partial:
                    partial.write_text(json.dumps(known), encoding="utf-8")

    @contextmanager
    def _explain(self) -> Iterator[None]:
        try:
            yield
        except DataError:
            raise
        # each file system has errors of its own, without a common base
        except Exception as error:
            raise DataError(
                f"ray.storage: {self._address} cannot be used ({type(error).__name__}: {error}): "
                "correct the address, install its file system, or give access to it",
                path=self._address,
            ) from error


def _token(info: dict[str, Any]) -> str:
    """Text that changes with the content of a file at the address."""
    stamp = next((str(info[name]) for name in _STAMPS if name in info), "")
    return f"{info.get('size')} {stamp}"


def _below(name: str, memo: dict[str, list[Any]]) -> set[str]:
    return {key for key in memo if key == name or key.startswith(f"{name}/")}

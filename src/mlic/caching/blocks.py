"""Digests of large arrays by block: what is read from a disk is compared when it is first used."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from mlic.caching.fingerprint import fingerprint_parts
from mlic.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

__all__ = ["CheckedMemmap", "Digests", "damaged", "read_rows"]

# A block is about one row, so that rows read in any order are not read many times: but no list of
# digests is longer than a thousandth of the file, and no view of logits is one block.
MIN_BYTES, MAX_BYTES = 2**16, 2**22


class Digests(NamedTuple):
    """Fingerprints of a ``.npy`` file: of what precedes its values, and of each of their blocks."""

    header_bytes: int
    header: str
    block_bytes: int
    blocks: list[str]

    @classmethod
    def of_file(cls, path: Path, header_bytes: int, row_bytes: int) -> Self:
        """Read a file and compute its digests."""
        size = min(max(row_bytes, MIN_BYTES), MAX_BYTES)
        with path.open("rb") as file:
            header = fingerprint_parts(file.read(header_bytes))
            blocks = [fingerprint_parts(block) for block in iter(lambda: file.read(size), b"")]
        return cls(header_bytes, header, size, blocks)

    def require_header(self, path: Path) -> None:
        """Compare what precedes the values, before anything interprets it."""
        with path.open("rb") as file:
            if fingerprint_parts(file.read(self.header_bytes)) != self.header:
                raise damaged(path)


class CheckedMemmap(np.memmap[Any, Any]):
    """A read-only memory map whose blocks `read_rows` compares with their digests."""

    blocks: _Blocks | None = None

    def __array_finalize__(self, obj: object) -> None:
        super().__array_finalize__(obj)
        self.blocks = getattr(obj, "blocks", None)

    @classmethod
    def over(cls, array: np.memmap[Any, Any], path: Path, digests: Digests) -> Self:
        """Map the same file with its digests."""
        checked = array.view(cls)
        status = path.stat()
        key = json.dumps(digests), str(path), status.st_ino, status.st_size, status.st_mtime_ns
        checked.blocks = _Blocks(path, array, digests, _seen(*key))
        return checked


@lru_cache(maxsize=256)  # every opening of the same file in this process shares what was compared
def _seen(digests: str, *file: object) -> NDArray[np.bool_]:
    return np.zeros(len(json.loads(digests)[-1]), dtype=np.bool_)


class _Blocks:
    """Blocks of a mapped file, each compared once a process."""

    def __init__(
        self,
        path: Path,
        array: np.memmap[Any, Any],
        digests: Digests,
        seen: NDArray[np.bool_],
    ) -> None:
        self.path, self.digests, self.seen = path, digests, seen
        # bytes of the values, whatever their type and shape
        self._bytes = np.asarray(array).reshape(-1).view(np.uint8)

    def check(self, view: NDArray[Any], rows: NDArray[np.intp] | None) -> None:
        """Compare the blocks of some rows of a view of the array, or of all of it."""
        if self.seen.all():
            return
        needed = np.zeros_like(self.seen)
        for start, stop in self._byte_ranges(view, rows):
            size = self.digests.block_bytes
            needed[start // size : (stop - 1) // size + 1] = True
        for block in np.flatnonzero(needed & ~self.seen).tolist():
            start = block * self.digests.block_bytes
            content = self._bytes[start : start + self.digests.block_bytes]
            if fingerprint_parts(content) != self.digests.blocks[block]:
                raise damaged(self.path)
            self.seen[block] = True

    def _byte_ranges(
        self, view: NDArray[Any], rows: NDArray[np.intp] | None
    ) -> Iterator[tuple[int, int]]:
        start, row = _address(view) - _address(self._bytes), view.nbytes // max(len(view), 1)
        if rows is None:
            yield start, start + view.nbytes
        else:
            yield from ((start + n * row, start + (n + 1) * row) for n in rows.tolist())


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])


def read_rows(array: NDArray[Any], rows: Any = None) -> NDArray[Any]:
    """Return an array, or some of its rows, after comparing what lies on disk with its digests.

    Parameters
    ----------
    array
        Any array. If it is a `CheckedMemmap`, or a part of one that is contiguous, the blocks in
        which the rows lie are compared, unless this process has done so before.
    rows
        Numbers of rows, or a slice; by default all.

    Raises
    ------
    DataError
        If a block is damaged. The field ``path`` names the file.
    """
    plain = np.asarray(array)
    blocks: _Blocks | None = getattr(array, "blocks", None)
    if blocks is not None:
        assert plain.flags.c_contiguous
        blocks.check(plain, None if rows is None else np.arange(len(plain))[rows])
    return plain if rows is None else plain[rows]


def damaged(path: Path, detail: object = "its content is not what was written") -> DataError:
    """Return the error of a file that mlic wrote and that is not as it was written."""
    return DataError(
        f"{path} is damaged ({detail}): restore it from a copy; a file under data/ that kedro run "
        "made is made again by the same command once it is moved away",
        path=path,
    )


def digest_tree(tree: Mapping[str, Any]) -> str:
    """Fingerprint of a JSON-able tree as it comes back from a file."""
    return fingerprint_parts(json.dumps(json.loads(json.dumps(tree)), sort_keys=True))

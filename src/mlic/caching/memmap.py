"""Arrays too large for the memory: filled on disk, then read page by page.

An array lies in ``<name>.npy``. Its description, any JSON-able tree, lies beside it in
``<name>.json``, with digests of the array and of itself. The description is written last and makes
the array valid, so that an interrupted writer never leaves an array that looks complete.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from abc import ABC, abstractmethod
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from mlic.caching.atomic import atomic_write, require_free_space
from mlic.caching.blocks import CheckedMemmap, Digests, damaged, digest_tree
from mlic.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import DTypeLike, NDArray

__all__ = ["MemmapObject", "copy_memmap", "create_memmap", "open_memmap", "shorten_memmap"]


@contextmanager
def create_memmap(
    path: Path,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    description: Mapping[str, Any],
    advice: str = "",
) -> Iterator[np.memmap[Any, Any]]:
    """Make an array on disk that is filled in the block; it becomes valid when the block ends.

    Parameters
    ----------
    path
        The ``.npy`` file. Its folder is made if necessary.
    shape, dtype
        Shape and type of the array, which is all zeros at first.
    description
        JSON-able tree. It is read when the block ends, so it may be completed in the block.
    advice
        How to need less disk space, for the `DataError` of a disk that has no room for the array.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "numbers.npy"
    >>> with create_memmap(path, (3,), np.float32, {"unit": "m"}) as array:
    ...     array[:] = 2
    >>> array, description = open_memmap(path)
    >>> array.tolist(), description
    ([2.0, 2.0, 2.0], {'unit': 'm'})
    """
    num_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    require_free_space(path.parent, num_bytes, f"the array {path.name}", advice)
    with atomic_write(path) as partial:
        array = np.lib.format.open_memmap(partial, mode="w+", dtype=np.dtype(dtype), shape=shape)
        _reserve(partial)
        yield array
        array.flush()
        row_bytes = math.prod(shape[1:]) * array.itemsize
        digests = Digests.of_file(partial, array.offset, row_bytes)
        # Between the two replacements the old description must not vouch for the new array.
        _description_path(path).unlink(missing_ok=True)
    content = {"description": dict(description), "array": digests._asdict()}
    with atomic_write(_description_path(path)) as partial:
        signed = {"digest": digest_tree(content), **content}
        partial.write_text(json.dumps(signed, indent=1), encoding="utf-8")


def _reserve(path: Path) -> None:
    """Allocate the disk blocks of a sparse file."""
    # Without them, a disk that fills up while the array is being filled would end the process with
    # SIGBUS instead of an exception.
    if hasattr(os, "posix_fallocate"):  # not on macOS, where only the check of free space remains
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def shorten_memmap(array: np.memmap[Any, Any], num_rows: int) -> None:
    """Keep only the first rows of an array that is being filled in a `create_memmap` block."""
    # The rows after them are cut off the file: touching them would end the process.
    array.flush()
    shape = (num_rows, *array.shape[1:])
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": shape}
    assert array.filename is not None
    with Path(array.filename).open("r+b") as file:
        # NumPy pads the header, so that another number of rows fits in without moving the data.
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + math.prod(shape) * array.itemsize)


def open_memmap(path: Path) -> tuple[CheckedMemmap, dict[str, Any]]:
    """Map an array to memory, read-only, and read its description.

    Description and header are compared with their digests, the values when
    `mlic.caching.blocks.read_rows` first reads them. If a file is missing, incomplete or damaged,
    `DataError` is raised, whose field ``path`` names the array.
    """
    try:
        signed = json.loads(_description_path(path).read_text(encoding="utf-8"))
        content = {key: signed[key] for key in ("description", "array")}
        if digest_tree(content) != signed["digest"]:
            raise damaged(_description_path(path))
        digests = Digests(**content["array"])
        digests.require_header(path)
        # NumPy compares the size of the file with the header, so a cut file is noticed here.
        array = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError, KeyError, TypeError, RecursionError) as error:
        raise _incomplete(path, error) from error
    except DataError as error:
        error.fields["path"] = path
        raise
    return CheckedMemmap.over(array, path, digests), content["description"]


def copy_memmap(source: Path, target: Path) -> None:
    """Make a copy of an array and its description.

    It is no link: what damages one file must not damage the other, from which it can be made again.
    """
    if source.resolve() == target.resolve():
        return
    # As in writing: the description disappears first and is replaced last.
    _description_path(target).unlink(missing_ok=True)
    for place in (Path, _description_path):
        with atomic_write(place(target)) as partial:
            shutil.copyfile(place(source), partial)


def _description_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _incomplete(path: Path, error: Exception) -> DataError:
    return DataError(
        f"there is no complete array in {path} ({type(error).__name__}: {error}): move "
        f"{path.parent} away and run the same command again, which makes it again",
        path=path,
    )


class MemmapObject(ABC):
    """An object that consists of one large array and a description.

    Attributes
    ----------
    kind : str
        Name of its files: the array lies in ``<folder>/<kind>.npy``.
    folder : Path or None
        Where the object lies; None where it is in memory only.
    """

    kind: ClassVar[str]
    folder: Path | None

    # Workers map the same file instead of receiving gigabytes.
    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...] | str:
        if self.folder is not None:
            return type(self).open, (self.folder,)
        return super().__reduce_ex__(protocol)

    @property
    @abstractmethod
    def array(self) -> NDArray[Any]:
        """The array as it lies on disk."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Everything but the array, as a JSON-able tree."""

    @classmethod
    @abstractmethod
    def from_array(
        cls, array: NDArray[Any], description: Mapping[str, Any], folder: Path | None = None
    ) -> Self:
        """Build the object from its array and what `describe` gave."""

    @classmethod
    def exists(cls, folder: Path) -> bool:
        """Whether a folder holds an object of this class, as far as can be seen without reading."""
        return (folder / f"{cls.kind}.json").is_file()  # the description is written last

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Open an object on disk; its array is memory-mapped and read-only.

        A folder that holds no complete object of this class raises `DataError`.
        """
        path = Path(folder) / f"{cls.kind}.npy"
        array, description = open_memmap(path)
        try:
            return cls.from_array(array, description, path.parent)
        except (KeyError, TypeError, ValueError, DataError) as error:
            raise _incomplete(path, error) from error

    def save(self, folder: str | Path) -> None:
        """Write the object to a folder; one that lies on disk already is copied there."""
        path = Path(folder) / f"{self.kind}.npy"
        if self.folder is not None:  # the file may be larger than the memory
            copy_memmap(self.folder / path.name, path)
            return
        array = self.array
        with create_memmap(path, array.shape, array.dtype, self.describe()) as stored:
            stored[...] = array

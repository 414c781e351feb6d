"""Arrays in safetensors files, memory-mapped: filled in place, read page by page.

A safetensors file is the length of a JSON header (8 bytes, little-endian), the header with the
type, shape and place of every array, and the arrays as they lie in memory
(https://github.com/huggingface/safetensors#format), so numpy can map each of them where it stands.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from safetensors import SafetensorError

from mlic.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

__all__ = ["create_mapped", "open_mapped", "place_file", "wrap_write_errors"]

_TYPES: dict[str, np.dtype[Any]] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}
_CODES = {dtype: code for code, dtype in _TYPES.items()}


@contextmanager
def create_mapped(
    path: Path, templates: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> Iterator[dict[str, NDArray[Any]]]:
    """Make a file of arrays to be filled in; it takes its name only when the block ends well.

    Parameters
    ----------
    path
        The ``.safetensors`` file.
    templates
        Arrays of the wanted shapes, float16 or float32; their values are not read.
    metadata
        Words that travel in the file.

    Yields
    ------
    dict of ndarray
        Writable and memory-mapped, all zeros.

    Raises
    ------
    CheckpointError
        If the disk has no room for the file, or does not let it be written.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.safetensors"
    >>> with create_mapped(path, {"x": np.empty(3, np.float32)}, {"of": "me"}) as arrays:
    ...     arrays["x"][:] = 2
    >>> tensors, metadata = open_mapped(path)
    >>> tensors["x"].tolist(), metadata
    ([2.0, 2.0, 2.0], {'of': 'me'})
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, array in templates.items():
        begin, end = end, end + array.nbytes
        place = {"shape": list(array.shape), "data_offsets": [begin, end]}
        header[name] = {"dtype": _CODES[array.dtype], **place}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with wrap_write_errors(path), partial.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + end)
            if hasattr(os, "posix_fallocate"):  # else a full disk ends the program with SIGBUS
                os.posix_fallocate(file.fileno(), 0, 8 + len(text) + end)
        arrays = _map(partial, header, 8 + len(text), "r+")
        yield {**arrays}
        for mapped in arrays.values():
            mapped.flush()
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def wrap_write_errors(path: Path) -> Iterator[None]:
    """Name the file that a full disk, or one that cannot be written to, was wanted for.

    Raises
    ------
    CheckpointError
        In place of the error of the system or of safetensors.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} cannot be written ({error}): make room on its disk, or give write access to "
            "it; the same command goes on from what is finished"
        ) from error


def open_mapped(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Map the arrays of a file to memory, read-only, and return its metadata.

    Raises
    ------
    CheckpointError
        If it is no such file, or is cut short.
    OSError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= path.stat().st_size:
                raise ValueError("it has no header")
            header = json.loads(file.read(length))
        arrays = _map(path, header, 8 + length, "r")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is damaged or no file of arrays ({error}): delete it and run the node that "
            "makes it again"
        ) from error
    return dict(arrays), dict(header.get("__metadata__", {}))


def _map(
    path: Path, header: Mapping[str, Any], start: int, mode: Literal["r", "r+"]
) -> dict[str, np.memmap[Any, Any]]:
    arrays: dict[str, np.memmap[Any, Any]] = {}
    for name, about in header.items():
        if name != "__metadata__":
            dtype, shape = _TYPES[about["dtype"]], tuple(about["shape"])
            arrays[name] = np.memmap(path, dtype, mode, start + about["data_offsets"][0], shape)
    return arrays


def place_file(source: Path, target: Path) -> None:
    """Let a finished file be found under a second name, without writing its content again.

    Where the file system has no hard links, or two are concerned, it is copied.
    """
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)

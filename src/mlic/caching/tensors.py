"""Small arrays with a text description each, in one safetensors file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mlic.caching.atomic import atomic_write
from mlic.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["load_metadata", "load_tensors", "save_tensors"]


def save_tensors(
    path: Path, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> None:
    """Write arrays, in any memory order, and texts to a safetensors file, complete or not at all.

    A file that cannot be written, for example because the disk is full, raises `DataError`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "a.safetensors"
    >>> save_tensors(path, {"x": np.eye(2)}, {"of": "someone"})
    >>> tensors, metadata = load_tensors(path)
    >>> tensors["x"].tolist(), metadata
    ([[1.0, 0.0], [0.0, 1.0]], {'of': 'someone'})
    """
    # The library writes the buffer of a strided array in memory order, which shuffles its values.
    contiguous = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    with atomic_write(path) as partial:
        try:
            save_file(contiguous, partial, metadata=dict(metadata) or None)
        except SafetensorError as error:  # also wraps what the operating system reports
            raise OSError(str(error)) from error


def load_tensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read the arrays and the metadata of a safetensors file.

    A file that is missing or damaged raises `DataError`; the field ``path`` names it.
    """
    return _read(path, arrays=True)


def load_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of a safetensors file without its arrays; the errors are the same."""
    return _read(path, arrays=False)[1]


def _read(path: Path, arrays: bool) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    try:
        # The library maps the file, so that metadata alone cost no reading of arrays.
        with safe_open(path, framework="numpy") as file:
            names = file.keys() if arrays else ()
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except FileNotFoundError as error:
        raise DataError(
            f"{path} does not exist: correct the path, or make the file by `kedro run`", path=path
        ) from error
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"{path} is damaged ({error}): delete it and run the node that makes it again",
            path=path,
        ) from error

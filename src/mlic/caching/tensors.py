"""Small arrays with a text description each, in one safetensors file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mlic.caching.atomic import atomic_write
from mlic.caching.blocks import damaged
from mlic.caching.fingerprint import fingerprint_parts
from mlic.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["load_tensors", "save_tensors"]

_DIGEST = "digest"  # entry of the metadata


def save_tensors(
    path: Path, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> None:
    """Write arrays, in any memory order, and texts to a safetensors file, complete or not at all.

    A digest of all of them is added to the metadata. A file that cannot be written, for example
    because the disk is full, raises `DataError`.

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
            digest = _digest(contiguous, metadata)
            save_file(contiguous, partial, metadata={**metadata, _DIGEST: digest})
        except SafetensorError as error:  # also wraps what the operating system reports
            raise OSError(str(error)) from error


def load_tensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read the arrays and the metadata of a safetensors file that `save_tensors` wrote.

    A file that is missing, damaged or without a digest raises `DataError`; the field ``path`` names
    it.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = dict(file.metadata() or {})
    except FileNotFoundError as error:
        raise DataError(
            f"{path} does not exist: correct the path, or make the file by `kedro run`", path=path
        ) from error
    # A header may name a type that NumPy does not have. Its sizes are those of the file.
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise damaged(path, f"{type(error).__name__}: {error}") from error
    if _DIGEST not in metadata:
        raise damaged(path, "it has no digest, or it is no file of mlic")
    if metadata.pop(_DIGEST) != _digest(arrays, metadata):
        raise damaged(path)
    return arrays, metadata


def _digest(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> str:
    """Fingerprint of names, types, shapes and values, and of the texts."""
    header = [[name, str(arrays[name].dtype), list(arrays[name].shape)] for name in sorted(arrays)]
    texts = json.dumps([header, sorted(metadata.items())])
    return fingerprint_parts(texts, *(arrays[name] for name in sorted(arrays)))

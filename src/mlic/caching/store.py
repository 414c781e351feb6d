"""Artifacts that are expensive to make, each stored with everything that it was made from.

Trainings, logits, soft targets and decoded images are artifacts. What was made from the same
components is loaded; otherwise it is made again, and the log says which components changed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlic.caching.blocks import read_rows
from mlic.caching.content_state import LOCK_NAME
from mlic.caching.memmap import create_memmap, open_memmap
from mlic.caching.tensors import load_tensors, save_tensors
from mlic.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike, NDArray

__all__ = ["ArtifactStore"]

log = logging.getLogger(__name__)

Components = Mapping[str, Any]
_Small = tuple[Path, "dict[str, NDArray[Any]]", dict[str, str]]  # file, arrays, metadata
NUM_SHOWN = 3  # changed components that a message names


@dataclass(frozen=True)
class ArtifactStore:
    """A folder with at most one artifact of each kind.

    Small artifacts are safetensors files, large ones memory-mapped arrays. Deleting the folder
    makes all of them again.
    """

    folder: Path  # made when the first artifact is stored
    name: str  # owner of the artifacts in messages, such as "teachers.cgp_0"

    def path(self, kind: str) -> Path:
        """File of a small artifact."""
        return self.folder / f"{kind}.safetensors"

    def array_path(self, kind: str) -> Path:
        """Array of a large artifact; its description lies beside it."""
        return self.folder / f"{kind}.npy"

    def find(self, kind: str, components: Components) -> Path | None:
        """Return the file of an artifact that was made from exactly these components, or None.

        All of it is read and compared with its digests. Without such an artifact, the log says why
        it has to be made again, if an earlier one is damaged or was made from other components.

        Parameters
        ----------
        kind
            Such as ``"checkpoint"`` or ``"logits"``.
        components
            JSON-able tree of everything that decides the artifact.
        """
        found = self._find(kind, components)
        return None if found is None else found[0]

    def load(
        self, kind: str, components: Components
    ) -> tuple[dict[str, NDArray[Any]], dict[str, str]] | None:
        """Load the arrays and metadata that `save` stored, under the conditions of `find`."""
        found = self._find(kind, components)
        return None if found is None else found[1:]

    def _find(self, kind: str, components: Components) -> _Small | None:
        try:
            stored = self._read(kind)
            if stored is None:
                return None
            path, _, metadata = stored
            made_from = json.loads(metadata.pop("components"))
        except (DataError, KeyError, json.JSONDecodeError) as error:
            log.warning("%s: %s is made again, for it is damaged: %s", self.name, kind, error)
            return None
        if made_from != _as_json(components):
            difference = _describe_difference(made_from, _as_json(components))
            log.info("%s: %s is made again: %s", self.name, kind, difference)
            return None
        log.info("%s: %s is up to date, loaded from %s", self.name, kind, path)
        return stored

    def _read(self, kind: str) -> _Small | None:
        """Read a small artifact; of a large one, which is only compared, what it was made from."""
        path = self.array_path(kind)
        # An array without a description was never finished: the same as none.
        if path.with_suffix(".json").is_file():
            array, description = open_memmap(path)
            read_rows(array)
            return path, {}, {"components": json.dumps(description["components"])}
        path = self.path(kind)
        return (path, *load_tensors(path)) if path.is_file() else None

    def save(
        self,
        kind: str,
        components: Components,
        tensors: Mapping[str, NDArray[Any]],
        metadata: Mapping[str, str],
    ) -> Path:
        """Store a small artifact, completely or not at all, and return its file."""
        path = self.path(kind)
        save_tensors(path, tensors, {**metadata, "components": json.dumps(_as_json(components))})
        return path

    @contextmanager
    def fill(
        self,
        kind: str,
        components: Components,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        description: MutableMapping[str, Any],
        advice: str = "",
    ) -> Iterator[np.memmap[Any, Any]]:
        """Store a large artifact: an array on disk that is filled in the block.

        Parameters, errors and what is yielded are those of `mlic.caching.memmap.create_memmap`;
        ``components`` is added to the description.
        """
        description["components"] = _as_json(components)
        path = self.array_path(kind)
        with create_memmap(path, shape, dtype, description, advice) as array:
            yield array

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Let one process at a time look up and make artifacts of this store."""
        from filelock import FileLock, Timeout

        # A lock of the operating system, which releases it when the process dies.
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / LOCK_NAME)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("%s: waiting for another process that writes to %s", self.name, self.folder)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


def _as_json(components: Components) -> Any:
    """Return components as they come back from a file."""
    # Tuples become lists and integer keys become text, so both sides of a comparison pass here.
    return json.loads(json.dumps(components, sort_keys=True))


def _flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _flatten(value, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, tree


def _describe_difference(stored: Components, wanted: Components) -> str:
    """Name the components that differ, the first three with both values."""
    before, after = dict(_flatten(stored)), dict(_flatten(wanted))
    keys = sorted(before.keys() | after.keys())
    changed = [key for key in keys if before.get(key) != after.get(key)]
    shown = [f"{key} was {before.get(key)}, is {after.get(key)}" for key in changed[:NUM_SHOWN]]
    more = f" and {len(changed) - NUM_SHOWN} more" if len(changed) > NUM_SHOWN else ""
    return "; ".join(shown) + more

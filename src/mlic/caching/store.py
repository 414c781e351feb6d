"""What a training owns: finished work under the fingerprint of all that made it.

The same fingerprint means the same result, which is loaded; another means that it is made anew,
and the store says what changed. Half-done work will find its place here too.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mlic.caching.memmap import create_mapped, wrap_write_errors

__all__ = ["CheckpointStore"]

log = logging.getLogger(__name__)

Components = Mapping[str, Any]
Outcome = tuple[dict[str, NDArray[Any]], dict[str, str]]


@dataclass(frozen=True)
class CheckpointStore:
    """A folder with one file a kind of result.

    Parameters
    ----------
    folder
        Made when something is first kept.
    name
        What messages call the owner.
    """

    folder: Path
    name: str

    def path(self, kind: str) -> Path:
        """File of one kind of result."""
        return self.folder / f"{kind}.safetensors"

    def load(self, kind: str, components: Components) -> Outcome | None:
        """What was kept, if it was made from just these components.

        Parameters
        ----------
        kind
            Such as ``"checkpoint"`` or ``"logits"``.
        components
            All that decides the result; JSON-able.

        Returns
        -------
        tuple of dict, or None
            Arrays and metadata; nothing if there are none, or if they were made from others,
            in which case the log names the first component that differs.
        """
        path = self.find(kind, components)
        if path is None:
            return None
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata())
            del metadata["components"]
            return {key: file.get_tensor(key) for key in file.keys()}, metadata  # noqa: SIM118

    def find(self, kind: str, components: Components) -> Path | None:
        """File of what was kept, under the same conditions as `load`; its arrays are not read."""
        path = self.path(kind)
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                kept = json.loads((file.metadata() or {})["components"])
        except (SafetensorError, KeyError, json.JSONDecodeError) as error:
            log.warning("%s: %s is damaged (%s) and is made anew", self.name, path, error)
            return None
        if kept == _plain(components):
            log.info("%s: %s is up to date, loaded from %s", self.name, kind, path)
            return path
        log.info("%s: %s is made anew: %s", self.name, kind, _difference(kept, components))
        return None

    @contextmanager
    def fill(
        self,
        kind: str,
        components: Components,
        templates: Mapping[str, NDArray[Any]],
        metadata: Mapping[str, str],
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Keep a result that outgrows the memory: arrays on disk, to be filled in the block.

        The file is written whole or not at all; see `mlic.caching.memmap.create_mapped`, whose
        errors are raised here too.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        extended = {**metadata, "components": json.dumps(_plain(components))}
        with create_mapped(self.path(kind), templates, extended) as arrays:
            yield arrays

    def save(
        self,
        kind: str,
        components: Components,
        tensors: Mapping[str, NDArray[Any]],
        metadata: Mapping[str, str],
    ) -> Path:
        """Keep a result; written whole or not at all. Returns its path.

        Raises
        ------
        CheckpointError
            If the disk has no room for it, or does not let it be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.path(kind)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        extended = {**metadata, "components": json.dumps(_plain(components))}
        # The writer takes each buffer as it lies, so strided weights must be made whole first.
        whole = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
        try:
            with wrap_write_errors(path):
                save_file(whole, partial, metadata=extended)
                os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        return path


def _plain(components: Components) -> Any:
    return json.loads(json.dumps(components, sort_keys=True))


def _flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _flatten(value, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, tree


def _difference(kept: Components, wanted: Components) -> str:
    """Name the components that differ, the first three with both values."""
    before, after = dict(_flatten(kept)), dict(_flatten(_plain(wanted)))
    changed = [
        key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)
    ]
    shown = [f"{key} was {before.get(key)}, is {after.get(key)}" for key in changed[:3]]
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return "; ".join(shown) + more

"""What each node was made from and what it made, as it lay then: so a run knows what to leave out.

Like make, with content where that has time stamps: a file that was written anew and is the same
makes nothing else new. A node is left out only if its code, its parameters, the catalog's entries
for its data, and all files behind these are what they were. What is kept nowhere cannot be looked
at, and neither can libraries: a node that touches the former always runs, and a new version of the
latter is not noticed. Trainings keep their own stores beneath this, with their own fingerprints.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kedro.pipeline import Pipeline

from mlic.caching.code_version import code_version
from mlic.caching.content_state import ContentState, FileState, Signature, look_at
from mlic.runners.catalog_entries import read_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from kedro.io import CatalogProtocol
    from kedro.pipeline.node import Node

__all__ = ["NEW", "NodeCache", "filter_stale_nodes"]

NEW = "it has not run yet"
ENTRY = "node_records"  # the catalog's entry for the folder of all records


def filter_stale_nodes(pipeline: Pipeline, catalog: CatalogProtocol[str, Any]) -> Pipeline:
    """Pick the nodes that are not up to date, and all that come after them.

    Some of the latter may turn out to be up to date once those before them have run.

    Parameters
    ----------
    pipeline
        All nodes.
    catalog
        The entries of their data, and of the records.
    """
    ledger = NodeCache(catalog, cache(look_at))
    changed: set[str] = set()
    names = []
    for node in pipeline.nodes:
        if changed & _bare(node.inputs) or ledger.reason(node):
            changed |= _bare(node.outputs)
            names.append(node.name)
    return pipeline.filter(node_names=names) if names else Pipeline([])


class NodeCache:
    """The records of all nodes, one JSON file each, in the folder of the entry ``node_records``.

    Parameters
    ----------
    catalog
        Without the entry nothing is recorded, and everything runs.
    look
        Tells the states of files.
    """

    def __init__(
        self,
        catalog: CatalogProtocol[str, Any],
        look: Callable[[Path], tuple[FileState, ...] | None] = look_at,
    ) -> None:
        self._entry = cache(partial(read_entry, catalog))
        self._look = look
        self._folder = next(iter(self._entry(ENTRY).paths), None)

    def reason(self, node: Node) -> str | None:
        """Why a node has to run, in a few words; None if it is up to date."""
        kept = self._read(node)
        if kept is None:
            return NEW
        matters = {**self._before(node), **self._after(node)}
        for name, matter in matters.items():
            if name not in kept or not matter.is_what(kept[name]):
                return f"{name} is missing" if matter.files is None else f"{name} changed"
        if any(matter.state != kept[name].state for name, matter in matters.items()):
            self._write(node, {name: matter.sign() for name, matter in matters.items()})
        return None

    @contextmanager
    def recording(self, node: Node) -> Iterator[None]:
        """Run a node in this block; what it read is signed before, what it made afterwards."""
        touched = map(self._entry, (*node.inputs, *node.outputs))
        if self._folder is None or not all(entry.is_kept for entry in touched):
            yield
            return
        before = {name: matter.sign() for name, matter in self._before(node).items()}
        yield
        after = {name: matter.sign() for name, matter in self._after(node).items()}
        self._write(node, before | after)

    def _before(self, node: Node) -> dict[str, ContentState]:
        """What a node is made from."""
        entries = [self._entry(name).about for name in (*node.inputs, *node.outputs)]
        wiring = [node.name, node.func.__qualname__, node.inputs, node.outputs]
        given = [name for name in node.inputs if not self._entry(name).is_handle]
        return {
            "its code": ContentState(code_version(" ".join([node.func.__module__, *entries]))),
            "its wiring": ContentState(json.dumps(wiring)),
            **self._matters(given),
        }

    def _after(self, node: Node) -> dict[str, ContentState]:
        """What a node makes; of a folder that it shares with others, what is named like that."""
        filled = [name for name in node.inputs if self._entry(name).is_handle]
        return {name: self._share(name, node) for name in filled} | self._matters(node.outputs)

    def _share(self, name: str, node: Node) -> ContentState:
        """Of ``store``, what a node with the output ``baseline.checkpoint`` has in ``baseline``."""
        entry = self._entry(name)
        own = {name.removesuffix(".checkpoint") for name in node.outputs}
        looks = [self._look(path / part) for path in entry.paths for part in sorted(own)]
        return ContentState(entry.about, tuple(file for files in looks for file in files or ()))

    def _matters(self, names: Iterable[str]) -> dict[str, ContentState]:
        return {name: self._matter(name) for name in names}

    def _matter(self, name: str) -> ContentState:
        entry = self._entry(name)
        files: list[FileState] = []
        for path in entry.paths:
            found = self._look(path)
            if found is None:
                return ContentState(entry.about, None)
            files += found
        return ContentState(entry.about, tuple(files))

    def _path(self, node: Node) -> Path | None:
        return self._folder and self._folder / f"{quote(node.name, safe='')[:200]}.json"

    def _read(self, node: Node) -> dict[str, Signature] | None:
        path = self._path(node)
        if path is None or not path.is_file():
            return None
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            return {name: Signature(*signature) for name, signature in kept.items()}
        except (ValueError, TypeError, AttributeError):  # half a file, or of another version
            return None

    def _write(self, node: Node, signatures: Mapping[str, Signature]) -> None:
        path = self._path(node)
        assert path is not None
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = {name: [one.state, one.content] for name, one in signatures.items()}
        written = path.with_suffix(f".{os.getpid()}.partial")
        written.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        os.replace(written, path)


def _bare(names: Iterable[str]) -> set[str]:
    """Names without Kedro's ``@``, behind which stands in what form the same data are read."""
    return {name.partition("@")[0] for name in names}

"""Records of what each node read and wrote, by which a run skips the nodes that are up to date.

The principle is that of make, but content counts, not only time: a file that was written again
with the same content makes nothing else stale. A node is skipped only if its code, its parameters,
the catalog's entries of its data and all files behind them are as recorded. Two things are not
seen: data that lie on no disk, so a node that uses such data always runs; and libraries, so their
new versions are not noticed. Trainings have their own store below this, see
`mlic.caching.store.ArtifactStore`.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote

from kedro.pipeline import Pipeline

from mlic.caching.atomic import atomic_write
from mlic.caching.code_version import source_tree
from mlic.caching.content_state import ContentState, FileState, Signature, scan_files
from mlic.caching.fingerprint import fingerprint_tree
from mlic.errors import DataError
from mlic.runners.catalog_entries import Entry, ImageList, is_parameter, read_entry
from mlic.runners.listed_files import ListedFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from kedro.io import CatalogProtocol
    from kedro.pipeline.node import Node

__all__ = ["NEW", "NodeCache", "filter_stale_nodes", "take_stale_nodes"]

NEW = "it has not run yet"
ENTRY = "node_records"  # the catalog's entry for the folder of all records
CODE_MEMO = ".code.json"  # in that folder: what source files mean
LIST_MEMO = ".lists.json"  # likewise: which files lists name

_stale_by_run: dict[str, Pipeline] = {}  # of the latest run, until its runner takes it


def filter_stale_nodes(
    pipeline: Pipeline, catalog: CatalogProtocol[str, Any], run_id: str | None = None
) -> Pipeline:
    """Select the nodes that are not up to date, and all nodes after them.

    Some of the latter may turn out to be up to date once the nodes before them have run. With
    Kedro's id of the run, the result is held for the runner, which takes it by `take_stale_nodes`
    instead of computing it again.
    """
    nodes = NodeCache(catalog, cache(scan_files))  # many nodes read the same files
    changed, names = set[str](), list[str]()
    for node in pipeline.nodes:
        if changed & _without_at(node.inputs) or nodes.why_stale(node):
            changed |= _without_at(node.outputs)
            names.append(node.name)
    stale = pipeline.filter(node_names=names) if names else Pipeline([])
    if run_id is not None:
        _stale_by_run.clear()
        _stale_by_run[run_id] = stale
    return stale


def take_stale_nodes(run_id: str | None) -> Pipeline | None:
    """Return, once, what `filter_stale_nodes` found for a run; None if nobody asked it."""
    return _stale_by_run.pop(run_id, None) if run_id is not None else None


class NodeCache:
    """The records of all nodes, one JSON file each, in the folder of the entry ``node_records``.

    Without this entry in the catalog nothing is recorded, and every node is stale.
    """

    def __init__(
        self,
        catalog: CatalogProtocol[str, Any],
        scan: Callable[[Path], tuple[FileState, ...] | None] = scan_files,
    ) -> None:
        self._entry = cache(partial(read_entry, catalog))
        self._scan = scan
        self._folder = next(iter(self._entry(ENTRY).paths), None)
        self._lists = None if self._folder is None else ListedFiles(self._folder / LIST_MEMO)

    def why_stale(self, node: Node) -> str | None:
        """Why a node has to run, in a few words; None if it is up to date."""
        recorded = self._read(node)
        if recorded is None:
            return NEW
        states = {**self._before(node), **self._after(node)}
        # Code comes first, so that a message names the cause and not its effects.
        for name, state in states.items():
            if name not in recorded or not state.matches(recorded[name]):
                return f"{name} is missing" if state.files is None else f"{name} changed"
        if any(state.state != recorded[name].state for name, state in states.items()):
            # The same content with other times of change: do not read it again next time.
            self._write(node, _sign(self._before(node)), _sign(self._after(node)))
        return None

    @contextmanager
    def record(self, node: Node) -> Iterator[None]:
        """Record a node that runs in this block; if it fails, nothing is recorded.

        Inputs that are not as the node before wrote them raise `DataError`.
        """
        entries = map(self._entry, (*node.inputs, *node.outputs))
        if self._folder is None or not all(entry.is_on_disk for entry in entries):
            yield
            return
        # Inputs are signed first: a change while the node runs must make it stale.
        before = _sign(self._before(node))
        self._require_as_written(before)
        yield
        self._write(node, before, _sign(self._after(node)))

    def list_paths(self, node: Node) -> NodePaths:
        """Files and folders of a node; parameters that name files are left out."""
        read, filled = list[Path](), list[Path]()
        for entry in map(self._entry, (n for n in node.inputs if not is_parameter(n))):
            if entry.is_filled_by_reader:
                filled += entry.paths
            else:
                read += entry.paths
                read += [one.folder / file for one in entry.lists for file in self._names(one)]
        written = [path for name in node.outputs for path in self._entry(name).paths]
        parts = [folder / part for folder in filled for part in _own_parts(node)]
        return NodePaths(read, written, filled, parts)

    def _require_as_written(self, read: Mapping[str, Signature]) -> None:
        """Compare inputs with what the nodes that wrote them recorded."""
        for path in self._newest_first():
            recorded = _read_record(path)
            for name in sorted(recorded.written.keys() & read.keys()):
                expected, found = recorded.written[name].content, read[name].content
                if None not in (expected, found) and expected != found:
                    file = next(iter(self._entry(name).paths))
                    raise DataError(
                        f"{file} is not as the node '{unquote(path.stem)}' wrote it: move it "
                        "away, then kedro run makes it again",
                        path=file,
                        name=name,
                    )
            # Of several nodes that once wrote the same data, the newest record counts.
            read = {name: state for name, state in read.items() if name not in recorded.written}

    def _newest_first(self) -> list[Path]:
        assert self._folder is not None
        files = [(path.stat().st_mtime_ns, path) for path in self._folder.glob("*.json")]
        return [path for _, path in sorted(files, reverse=True) if not path.name.startswith(".")]

    def _before(self, node: Node) -> dict[str, ContentState]:
        """States of everything that a node depends on."""
        assert self._folder is not None
        # Entries name the classes that read and write the data, whose code counts too.
        entries = [self._entry(name).description for name in (*node.inputs, *node.outputs)]
        function = f"{node.func.__module__}.{node.func.__qualname__}"
        code = source_tree(self._folder / CODE_MEMO).version(function, *entries)
        wiring = json.dumps([node.name, node.func.__qualname__, node.inputs, node.outputs])
        read = [name for name in node.inputs if not self._entry(name).is_filled_by_reader]
        states = {"its code": ContentState(code), "its wiring": ContentState(wiring)}
        return states | {name: self._state(name) for name in read}

    def _after(self, node: Node) -> dict[str, ContentState]:
        """States of everything that a node writes."""
        filled = [name for name in node.inputs if self._entry(name).is_filled_by_reader]
        states = {name: self._state(name) for name in node.outputs}
        return {name: self._state(name, _own_parts(node)) for name in filled} | states

    def _state(self, name: str, parts: Sequence[str] = ()) -> ContentState:
        """State of an entry, or of what there is of some parts of its folder."""
        entry = self._entry(name)
        paths = [path / part for path in entry.paths for part in parts or ("",)]
        scans = [self._scan(path) for path in paths]
        missing = not parts and any(files is None for files in scans)
        files = None if missing else tuple(file for files in scans for file in files or ())
        # Paths count as they are seen from the records, so that a moved project stays up to date.
        description, folder = entry.description, str(self._folder or "/")
        for path in map(str, entry.paths if not is_parameter(name) else ()):
            seen = json.dumps(os.path.relpath(path, folder))
            description = description.replace(json.dumps(path), seen)
        return ContentState(description, files and files + self._listed(entry), folder)

    def _listed(self, entry: Entry) -> tuple[FileState, ...]:
        """States of the files that an entry's lists name; a missing one has a state too."""
        names = (one.folder / name for one in entry.lists for name in self._names(one))
        found = ((path, self._scan(path)) for path in names)
        return tuple(file for path, files in found for file in files or ((str(path), -1, -1),))

    def _names(self, one: ImageList) -> list[str]:
        return self._lists.read(one.file, one.columns) if self._lists else []

    def _path(self, node: Node) -> Path:
        assert self._folder is not None
        # File names are limited to 255 bytes, and another 30 are needed while the file is written.
        return self._folder / f"{quote(node.name, safe='')[:200]}.json"

    def _read(self, node: Node) -> dict[str, Signature] | None:
        if self._folder is None:
            return None
        recorded = _read_record(self._path(node))
        return {**recorded.read, **recorded.written} or None

    def _write(
        self, node: Node, read: Mapping[str, Signature], written: Mapping[str, Signature]
    ) -> None:
        with atomic_write(self._path(node)) as file:
            record = {"read": read, "written": written}
            signed = {"digest": fingerprint_tree(record), **record}
            file.write_text(json.dumps(signed, indent=1), encoding="utf-8")


class NodePaths(NamedTuple):
    """Files and folders of a node."""

    read: list[Path]
    written: list[Path]
    filled: list[Path]  # folders that it is given to fill
    parts: list[Path]  # its own ones in these, if other nodes fill them too


class _Record(NamedTuple):
    """What a node read and wrote when it ran last, by name."""

    read: dict[str, Signature]
    written: dict[str, Signature]


def _read_record(path: Path) -> _Record:
    try:
        recorded = json.loads(path.read_text(encoding="utf-8"))
        if recorded.pop("digest") != fingerprint_tree(recorded):
            return _Record({}, {})
        both = (recorded["read"], recorded["written"])
        return _Record(*({name: Signature(*one) for name, one in each.items()} for each in both))
    # Absent, damaged, or of another version: then the node simply runs.
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return _Record({}, {})


def _sign(states: Mapping[str, ContentState]) -> dict[str, Signature]:
    return {name: state.sign() for name, state in states.items()}


def _own_parts(node: Node) -> list[str]:
    """Folders of a node in a folder that several nodes fill.

    Of ``store``, the node with the output ``baseline.checkpoint`` has the folder ``baseline``.
    """
    return sorted({output.removesuffix(".checkpoint") for output in node.outputs})


def _without_at(names: Iterable[str]) -> set[str]:
    """Names without Kedro's ``@``, after which stands how the same data are read."""
    return {name.partition("@")[0] for name in names}

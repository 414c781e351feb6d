"""What a node takes to another machine, and how it runs there.

No absolute path of the data folder, no environment variable and no mapped array travels: paths in
the configuration of datasets start with a mark, which each machine replaces by its own folder.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlic.caching.fingerprint import fingerprint_parts
from mlic.errors import DataError
from mlic.runners.catalog_entries import is_parameter, read_configuration
from mlic.runners.mirror import Mirror
from mlic.runners.node_cache import NodeCache
from mlic.tracking.runs import join_parent, parent_settings
from mlic.utils.git import git_commit, use_commit
from mlic.utils.logging import set_up_logging

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline.node import Node

    from mlic.config.cluster import RayOptions

__all__ = ["Outcome", "Parcel", "Place", "pack", "run_parcel"]

_MARK = "data_folder://"


@dataclass(frozen=True)
class Place:
    """Where the data are: in a folder that all machines have, or in copies of a storage."""

    folder: Path  # of the machine that started the run
    storage: str | None = None
    copies: str | None = None

    @classmethod
    def from_options(cls, folder: Path, options: RayOptions) -> Place:
        """Read the place off the parameters."""
        return cls(folder, options.storage, options.copies)

    def find(self) -> Path:
        """Folder of the data on this machine, which may be another than the one that asks."""
        if self.storage is None:
            return self.folder
        # one machine may have copies of several storages
        name = f"mlic-{fingerprint_parts(self.storage)[:12]}"
        return Path(self.copies or tempfile.gettempdir(), name)

    def names(self, paths: list[Path]) -> list[str]:
        """Names in the data folder; paths elsewhere are left out."""
        inside = [path for path in paths if path.is_relative_to(self.folder)]
        return [path.relative_to(self.folder).as_posix() for path in inside]

    def mirror(self, folder: Path) -> Mirror | None:
        """Copies of the storage in a folder; None if there is no storage."""
        return None if self.storage is None else Mirror(self.storage, folder)


class Outcome(NamedTuple):
    """What comes back: data that lie on no disk, and names of the files that were written."""

    values: dict[str, Any]
    written: list[str]


@dataclass(frozen=True)
class Parcel:
    """A node with everything that it needs on another machine."""

    node: Node
    place: Place
    datasets: dict[str, dict[str, Any]]  # configurations with marks in place of the data folder
    values: dict[str, Any]  # parameters, and inputs that lie on no disk
    reads: list[str]  # names in the data folder
    writes: list[str]
    fills: list[str]  # folders, of which the node may fill all or its own parts
    continues: list[str]  # those parts
    tracking: dict[str, str]
    commit: str | None  # the code travels without its repository
    run_id: str | None = None


def pack(
    node: Node,
    catalog: CatalogProtocol[str, Any],
    place: Place,
    run_id: str | None = None,
) -> Parcel:
    """Collect what a node needs; its inputs that lie on no disk are loaded."""
    names = [*node.inputs, *node.outputs]
    datasets = {n: read_configuration(catalog, n) for n in names if not is_parameter(n)}
    on_disk = {n: _mark(one, place.folder) for n, one in datasets.items() if one}
    given = [n for n in node.inputs if n not in on_disk or in_memory(on_disk[n])]
    paths = NodeCache(catalog).list_paths(node)
    return Parcel(
        node,
        place,
        {name: one for name, one in on_disk.items() if not in_memory(one)},
        {name: catalog.load(name) for name in given},
        place.names(paths.read),
        place.names(paths.written),
        place.names(paths.filled),
        place.names(paths.parts),
        parent_settings(),
        git_commit(),
        run_id,
    )


def in_memory(configuration: dict[str, Any]) -> bool:
    """Whether data of this configuration lie on no disk."""
    return str(configuration.get("type")).rpartition(".")[2] == "MemoryDataset"


def run_parcel(parcel: Parcel) -> Outcome:
    """Run a node on this machine, which reads and writes where this machine has its data."""
    from kedro.io import DataCatalog

    set_up_logging()
    folder = parcel.place.find()
    mirror = parcel.place.mirror(folder)
    datasets = {name: _unmark(one, folder) for name, one in parcel.datasets.items()}
    catalog = DataCatalog.from_config(datasets, save_version=parcel.run_id)
    for name, value in parcel.values.items():
        catalog[name] = value
    with ExitStack() as stack:
        stack.enter_context(join_parent(parcel.tracking))
        stack.enter_context(use_commit(parcel.commit))
        if mirror is not None:
            mirror.pull([*parcel.reads, *parcel.continues])
            if parcel.continues:
                # the state of a training, above all
                stack.enter_context(mirror.kept_up_to_date(parcel.continues))
        outputs = parcel.node.run({name: catalog.load(name) for name in parcel.node.inputs})
        values = {name: outputs.pop(name) for name in [*outputs] if name not in datasets}
        for name, data in outputs.items():
            catalog.save(name, data)
    _require_in_memory(values)
    if mirror is None:
        return Outcome(values, [])
    parts = [name for name in parcel.continues if (folder / name).exists()]
    names = [*parcel.writes, *(parts or parcel.fills)]
    mirror.push(names)
    return Outcome(values, names)


def _require_in_memory(values: dict[str, Any]) -> None:
    import numpy as np

    from mlic.caching.memmap import MemmapObject

    for name, value in values.items():
        if isinstance(value, MemmapObject | np.memmap):
            raise DataError(
                f"'{name}' is an array in a file of one machine, and cannot travel to another: "
                "give it an entry in the catalog",
                name=name,
            )


def _mark(tree: Any, folder: Path) -> Any:
    """Replace the data folder by a mark at the start of every text."""
    if isinstance(tree, dict):
        return {key: _mark(value, folder) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_mark(value, folder) for value in tree]
    start = f"{folder.as_posix()}/"
    if isinstance(tree, str) and tree.startswith(start):
        return _MARK + tree.removeprefix(start)
    return tree


def _unmark(tree: Any, folder: Path) -> Any:
    if isinstance(tree, dict):
        return {key: _unmark(value, folder) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_unmark(value, folder) for value in tree]
    if isinstance(tree, str) and tree.startswith(_MARK):
        return (folder / tree.removeprefix(_MARK)).as_posix()
    return tree

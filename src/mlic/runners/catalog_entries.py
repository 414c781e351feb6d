"""What the catalog says of the data of a node, read without making a dataset of it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Entry", "read_entry"]

_PLACES = ("filepath", "path", "folder")  # keys of an entry that name files even where none lie
_ASIDE = ("metadata", "credentials")  # keys that decide nothing
_HANDLE = "DirectoryDataset"  # the type of what a node is given to fill


@dataclass(frozen=True)
class Entry:
    """One name of the catalog.

    Parameters
    ----------
    about
        The configuration of a dataset, or the value of a parameter, as JSON.
    paths
        Files and folders that these name.
    is_handle
        Whether it is a folder that the node fills which reads it.
    is_kept
        Whether all that it holds lies in these files, or in the parameters.
    """

    about: str
    paths: tuple[Path, ...]
    is_handle: bool
    is_kept: bool


def read_entry(catalog: Any, name: str) -> Entry:
    """Look a name up.

    Parameters
    ----------
    catalog
        Kedro's catalog; its datasets need not be importable.
    name
        A parameter, or a dataset; one that is in memory or has versions is not kept.
    """
    if name == "parameters" or name.startswith("params:"):
        value = _plain(catalog.get(name).load())
        return Entry(json.dumps(value, sort_keys=True), tuple(_paths(value)), False, True)
    entry = _configuration(catalog, name)
    paths = tuple(_paths(entry, _PLACES))
    handle = str(entry.get("type")).endswith(_HANDLE)
    about = json.dumps(entry, sort_keys=True, default=str)
    return Entry(about, paths, handle, bool(paths) and not entry.get("versioned"))


def _configuration(catalog: Any, name: str) -> dict[str, Any]:
    resolver = catalog.config_resolver
    known = name in resolver.config or resolver.match_dataset_pattern(name)
    if not known and resolver.match_user_catch_all_pattern(name) is None:
        return {}
    entry = resolver.resolve_pattern(name)
    return {key: value for key, value in entry.items() if key not in _ASIDE}


def _plain(value: Any) -> Any:
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, fallback=repr)


def _paths(tree: Any, places: Sequence[str] = ()) -> list[Path]:
    """Files that a tree of values names, and whatever lies under some keys of it, in order."""
    if not isinstance(tree, dict):
        return []
    found = []
    for key, value in tree.items():
        named = isinstance(value, str) and (key in places or os.path.isfile(value))
        found += [Path(value)] if named else _paths(value, places)
    return found

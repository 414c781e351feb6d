"""What the catalog says about the data of a node, read without building a dataset."""

from __future__ import annotations

import json
from dataclasses import dataclass
from os.path import isdir, isfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Entry", "is_parameter", "read_configuration", "read_entry"]

_PATH_KEYS = ("filepath", "path", "folder")  # keys that name files, whether they exist or not
_IGNORED_KEYS = ("metadata", "credentials")  # keys that do not change the data
_FOLDER_TYPE = "DirectoryDataset"  # type of the folders that nodes are given to fill
# Types of lists of images: the keys that name lists, and the columns that name images.
_LIST_TYPES = {
    "ManifestDataset": (("filepath", "test_filepath"), ("path",)),
    "NewImagesDataset": (("source",), ("path", "image")),
}
_LIST_SUFFIXES = (".csv", ".parquet", ".pq")


class ImageList(NamedTuple):
    """A table of paths of images."""

    file: Path
    folder: Path  # at which the paths start
    columns: tuple[str, ...]  # that may contain them, by preference


@dataclass(frozen=True)
class Entry:
    """One name of the catalog."""

    description: str  # configuration of a dataset, or value of a parameter, as JSON
    paths: tuple[Path, ...]  # files and folders that these name
    is_filled_by_reader: bool  # a folder that is filled by the node that reads it
    is_on_disk: bool  # all of its data lie in these files, or in the parameters
    lists: tuple[ImageList, ...] = ()  # lists among the files, which name further ones


def read_entry(catalog: Any, name: str) -> Entry:
    """Look up a parameter or a dataset in Kedro's catalog; datasets need not be importable."""
    if is_parameter(name):
        from pydantic_core import to_jsonable_python

        value = _complete(name.removeprefix("params:"), catalog.get(name).load())
        value = to_jsonable_python(value, fallback=repr)
        return Entry(json.dumps(value, sort_keys=True), tuple(_find_paths(value)), False, True)
    found = read_configuration(catalog, name)
    configuration = {key: value for key, value in found.items() if key not in _IGNORED_KEYS}
    paths = tuple(_find_paths(configuration, _PATH_KEYS))
    return Entry(
        json.dumps(configuration, sort_keys=True, default=str),
        paths,
        str(configuration.get("type")).endswith(_FOLDER_TYPE),
        bool(paths) and not configuration.get("versioned"),
        tuple(_find_lists(configuration)),
    )


def is_parameter(name: str) -> bool:
    """Whether a name of the catalog is that of a parameter, or of all of them."""
    return name == "parameters" or name.startswith("params:")


def read_configuration(catalog: Any, name: str) -> dict[str, Any]:
    """Return the configuration of a dataset; empty if it is not in the catalog's files."""
    resolver = catalog.config_resolver
    known = name in resolver.config or resolver.match_dataset_pattern(name)
    if not known and resolver.match_user_catch_all_pattern(name) is None:
        return {}
    return dict(resolver.resolve_pattern(name))


def _complete(name: str, value: Any) -> Any:
    """Return the value of a parameter with the defaults of its section."""
    from mlic.config.parameters import Parameters  # pydantic takes long to import
    from mlic.utils.strict_model import StrictModel

    # Kedro completes only sections that a node of the selected pipelines annotates. The same value
    # must have the same description in a run of all pipelines and in a run of some.
    if not isinstance(value, dict):
        return value
    if name == "parameters":
        return {key: _complete(key, section) for key, section in value.items()}
    field = Parameters.model_fields.get(name)
    kind = field.annotation if field else None
    if isinstance(kind, type) and issubclass(kind, StrictModel):
        return kind.model_validate(value)
    return value


def _find_lists(configuration: dict[str, Any]) -> Iterator[ImageList]:
    """Lists of an entry; of one with a folder of images, all files in this folder count already."""
    kind = str(configuration.get("type")).rpartition(".")[2]
    keys, columns = _LIST_TYPES.get(kind, ((), ()))
    folder = None if configuration.get("folder") is None else Path(configuration["folder"])
    for value in (configuration.get(key) for key in keys if folder is None):
        if isinstance(value, str) and value.lower().endswith(_LIST_SUFFIXES):
            # the first list is the manifest, whose folder is that of the test manifest too
            folder = folder or Path(value).parent
            yield ImageList(Path(value), folder, columns)


def _find_paths(tree: Any, keys: Sequence[str] = ()) -> list[Path]:
    """Files that a tree of values names, and whatever stands under some keys of it, in order."""
    if not isinstance(tree, dict):
        return []
    found = []
    for key, value in tree.items():
        # a source may be a folder, a file or a name
        is_folder = bool(keys) and key == "source" and isinstance(value, str) and isdir(value)
        is_path = isinstance(value, str) and (key in keys or is_folder or isfile(value))
        found += [Path(value)] if is_path else _find_paths(value, keys)
    return found

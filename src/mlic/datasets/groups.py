"""Groups of labels from a file written by the user."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mlic.datasets.base import DatasetDataError, FileDataset, read_json

if TYPE_CHECKING:
    from kedro_datasets._typing import JSONPreview

__all__ = ["GroupsDataset"]

_SHAPE = 'write [["cat", "dog"], ["car", "bus"]] or {"animals": ["cat", "dog"], …}'


class GroupsDataset(FileDataset):
    """A JSON file with lists of label names, each with or without a title; read only.

    The file contains a list of lists, or an object of lists under their titles.
    `mlic.labels.partition.user_partition` checks whether the groups cover the labels.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "groups.json"
    >>> _ = path.write_text('{"animals": ["cat", "dog"], "vehicles": ["car"]}')
    >>> GroupsDataset(str(path)).load()
    {'animals': ['cat', 'dog'], 'vehicles': ['car']}
    """

    def load(self) -> list[list[str]] | dict[str, list[str]]:
        """Read the groups.

        A file that is missing, or contains anything but lists of names, raises `DatasetDataError`.
        """
        # Not left to read_json: here the user has to write the file, no pipeline creates it.
        if not self._filepath.is_file():
            raise DatasetDataError(
                f"there is no file of groups {self._filepath}: {_SHAPE} into it, or name another "
                "file with --params user_groups=…",
                path=self._filepath,
            )
        groups: Any = read_json(self._filepath)
        # Checked here, because a string would pass as a list of one-letter names later.
        parts = groups.values() if isinstance(groups, dict) else groups
        if not isinstance(groups, dict | list) or not all(_names(part) for part in parts):
            raise DatasetDataError(
                f"{self._filepath} does not contain lists of label names: {_SHAPE}",
                path=self._filepath,
            )
        return groups  # type: ignore[no-any-return]

    def preview(self) -> JSONPreview:
        """Return the content of the file, for Kedro-Viz."""
        return json.dumps(self.load())


def _names(part: object) -> bool:
    return isinstance(part, list) and all(isinstance(name, str) for name in part)

"""Groups of labels from a file written by the user."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kedro.io import AbstractDataset

from mlic.datasets.base import DatasetDataError, read_json

if TYPE_CHECKING:
    from kedro_datasets._typing import JSONPreview

__all__ = ["GroupsDataset"]

_SHAPE = 'write [["cat", "dog"], ["car", "bus"]] or {"animals": ["cat", "dog"], …}'


class GroupsDataset(AbstractDataset[Any, Any]):
    """A JSON file with lists of label names, each with or without a title; read only.

    `mlic.labels.partition.user_partition` checks whether the groups cover the labels.

    Parameters
    ----------
    filepath
        The ``.json`` file: a list of lists, or an object of lists under their titles.
    metadata
        Metadata for plugins, not used by mlic.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "groups.json"
    >>> _ = path.write_text('{"animals": ["cat", "dog"], "vehicles": ["car"]}')
    >>> GroupsDataset(str(path)).load()
    {'animals': ['cat', 'dog'], 'vehicles': ['car']}
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> list[list[str]] | dict[str, list[str]]:
        """Read the groups.

        Raises
        ------
        DatasetDataError
            If the file is missing, is not JSON, or contains anything but lists of names.
        """
        if not self._filepath.is_file():
            raise DatasetDataError(
                f"there is no file of groups {self._filepath}: {_SHAPE} into it, or name another "
                "file with --params user_groups=…",
                path=self._filepath,
            )
        groups = read_json(self._filepath)
        # Checked here, because a string would pass as a list of one-letter names later.
        parts = groups.values() if isinstance(groups, dict) else groups
        if not isinstance(groups, dict | list) or not all(_names(part) for part in parts):
            raise DatasetDataError(
                f"{self._filepath} does not contain lists of label names: {_SHAPE}",
                path=self._filepath,
            )
        return groups

    def save(self, data: Any) -> NoReturn:
        """Refuse to overwrite a file that the user wrote.

        Raises
        ------
        DatasetDataError
            Always.
        """
        raise DatasetDataError(
            f"{self._filepath} is written by the user: no node may overwrite it",
            path=self._filepath,
        )

    def preview(self) -> JSONPreview:
        """Return the content of the file, for Kedro-Viz."""
        return json.dumps(self.load())

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}

    def _exists(self) -> bool:
        return self._filepath.is_file()


def _names(part: object) -> bool:
    return isinstance(part, list) and all(isinstance(name, str) for name in part)

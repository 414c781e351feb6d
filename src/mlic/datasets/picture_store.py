"""The folder in which decoded pictures lie, and the store itself, as catalog entries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from mlic.datasets.base import DatasetDataError, spoken_once
from mlic.images.store import PictureStore

__all__ = ["FolderDataset", "PictureStoreDataset"]


class PictureStoreDataset(AbstractDataset[PictureStore, PictureStore]):
    """A store of decoded pictures; loading maps it to memory, reading nothing yet.

    Parameters
    ----------
    filepath
        The store's folder.
    metadata
        For plugins; not used here.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}

    def _exists(self) -> bool:
        return (self._filepath / "store.json").is_file()

    def load(self) -> PictureStore:
        """Open the store.

        Raises
        ------
        DatasetDataError
            If there is no whole store in the folder.
        """
        with spoken_once(self._filepath):
            return PictureStore.open(self._filepath)

    def save(self, data: PictureStore) -> None:
        """Write the store; one that lies in this folder already is not copied."""
        with spoken_once(self._filepath):
            data.save(self._filepath)


class FolderDataset(AbstractDataset[None, Path]):
    """The path of a folder that a node fills itself, because its content outgrows the memory.

    Parameters
    ----------
    filepath
        The folder; made when it is loaded.
    metadata
        For plugins; not used here.

    Examples
    --------
    >>> import tempfile
    >>> FolderDataset(f"{tempfile.mkdtemp()}/pictures").load().is_dir()
    True
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}

    def _exists(self) -> bool:
        return self._filepath.is_dir()

    def load(self) -> Path:
        """Make the folder if it is absent and return its path."""
        with spoken_once(self._filepath):
            self._filepath.mkdir(parents=True, exist_ok=True)
        return self._filepath

    def save(self, data: None) -> None:
        """Refuse: the node that owns the folder writes to it.

        Raises
        ------
        DatasetDataError
            Always.
        """
        raise DatasetDataError(f"{self._filepath} is a folder handle: make it no node's output")

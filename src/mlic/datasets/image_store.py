"""The folder in which decoded images lie, and the store itself, as catalog entries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from mlic.datasets.base import DatasetDataError, wrap_errors
from mlic.images.store import ImageStore

__all__ = ["DirectoryDataset", "ImageStoreDataset"]


class ImageStoreDataset(AbstractDataset[ImageStore, ImageStore]):
    """A store of decoded images; loading maps it to memory, reading nothing yet.

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

    def load(self) -> ImageStore:
        """Open the store.

        Raises
        ------
        DatasetDataError
            If there is no whole store in the folder.
        """
        with wrap_errors(self._filepath):
            return ImageStore.open(self._filepath)

    def save(self, data: ImageStore) -> None:
        """Write the store; one that lies in this folder already is not copied."""
        with wrap_errors(self._filepath):
            data.save(self._filepath)


class DirectoryDataset(AbstractDataset[None, Path]):
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
    >>> DirectoryDataset(f"{tempfile.mkdtemp()}/images").load().is_dir()
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
        with wrap_errors(self._filepath):
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

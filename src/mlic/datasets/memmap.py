"""Kedro datasets for what is too large for the memory: memory-mapped objects, and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from mlic.datasets.base import DatasetDataError, wrap_errors
from mlic.datasets.serialized import _ObjectDataset

__all__ = ["DirectoryDataset", "MemmapDataset"]


class MemmapDataset(_ObjectDataset):
    """An object with one large array, memory-mapped when it is loaded.

    Parameters
    ----------
    filepath
        Folder of the array and its description.
    cls
        Dotted path of a `mlic.caching.memmap.MemmapObject`. An object that lies on disk already
        is not copied: `save` links its files.
    metadata
        For plugins; not used here.
    """

    def __init__(self, filepath: str, cls: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath, cls, metadata)

    def _exists(self) -> bool:
        # The description is written last.
        return (self._filepath / f"{self._load_class().kind}.json").is_file()

    def load(self) -> Any:
        """Map the object to memory; its array is not read yet.

        Raises
        ------
        DatasetDataError
            If the folder holds no complete object of the class ``cls``.
        """
        with wrap_errors(self._filepath):
            return self._load_class().open(self._filepath)

    def save(self, data: Any) -> None:
        """Write the object, or link the files in which it lies.

        Raises
        ------
        DatasetDataError
            If it is not an instance of the class ``cls``.
        """
        self._require_instance(data)
        with wrap_errors(self._filepath):
            data.save(self._filepath)


class ImageStoreDataset(MemmapDataset):
    """A store of decoded images: `MemmapDataset` of the class `ImageStore`.

    Parameters
    ----------
    filepath
        Folder of the store.
    metadata
        For plugins; not used here.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath, "mlic.images.store.ImageStore", metadata)


class DirectoryDataset(AbstractDataset[None, Path]):
    """The path of a folder that a node fills itself, because its content is too large for memory.

    Parameters
    ----------
    filepath
        The folder; it is made when the dataset is loaded.
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
        """Refuse: the node that is given the folder writes to it.

        Raises
        ------
        DatasetDataError
            Always.
        """
        raise DatasetDataError(
            f"{self._filepath} is a folder that a node is given to fill: it cannot be the output "
            "of a node"
        )

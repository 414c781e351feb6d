"""Kedro datasets for what is too large for the memory: memory-mapped objects, and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlic.datasets.base import FileDataset, wrap_errors
from mlic.datasets.serialized import ObjectDataset

__all__ = ["DirectoryDataset", "ImageStoreDataset", "MemmapDataset"]


class MemmapDataset(ObjectDataset):
    """An object with one large array, memory-mapped when it is loaded.

    ``filepath`` is the folder of the array and its description; ``cls`` is the dotted path of a
    `mlic.caching.memmap.MemmapObject`. An object of another class is refused. An object that lies
    on disk already is not copied: `save` links its files.
    """

    # Here the class is required: a dict could not be mapped.
    def __init__(self, filepath: str, cls: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath, cls, metadata)

    def _exists(self) -> bool:
        # The description is written last.
        return (self._filepath / f"{self._load_class().kind}.json").is_file()

    def load(self) -> Any:
        """Map the object to memory; its array is not read yet."""
        with wrap_errors(self._filepath):
            return self._load_class().open(self._filepath)

    def save(self, data: Any) -> None:
        """Write the object, or link the files in which it lies."""
        self._require_instance(data)
        with wrap_errors(self._filepath):
            data.save(self._filepath)


class ImageStoreDataset(MemmapDataset):
    """A store of decoded images: `MemmapDataset` of the class `ImageStore`."""

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath, "mlic.images.store.ImageStore", metadata)


class DirectoryDataset(FileDataset):
    """The path of a folder that a node fills itself, because its content is too large for memory.

    The folder is made when the dataset is loaded. It is an input of the node that fills it.
    """

    def load(self) -> Path:
        """Make the folder if it is absent and return its path."""
        with wrap_errors(self._filepath):
            self._filepath.mkdir(parents=True, exist_ok=True)
        return self._filepath

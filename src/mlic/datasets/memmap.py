"""Objects whose arrays outgrow the memory, in one memory-mapped file each."""

from __future__ import annotations

from typing import Any

from mlic.datasets.base import atomic_write, wrap_errors
from mlic.datasets.serialized import _ObjectDataset

__all__ = ["MemmapDataset"]


class MemmapDataset(_ObjectDataset):
    """An object that reads its own memory-mapped file.

    Parameters
    ----------
    filepath
        The file.
    cls
        Dotted path of a class with ``save(path)`` and a class method ``open(path)``. An object that
        lies in a file already is not written again: `save` gives that file a second name.
    metadata
        For plugins; not used here.
    """

    def __init__(self, filepath: str, cls: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath, cls, metadata)

    def load(self) -> Any:
        """Map the file to memory; its arrays are not read yet.

        Raises
        ------
        DatasetDataError
            If the file is damaged or holds an object of another class.
        """
        with wrap_errors(self._filepath):
            return self._load_class().open(self._filepath)

    def save(self, data: Any) -> None:
        """Write the object, or link the file it lies in.

        Raises
        ------
        DatasetDataError
            If it is not an instance of the class ``cls``.
        """
        self._require_instance(data)
        with wrap_errors(self._filepath), atomic_write(self._filepath) as partial:
            data.save(partial)

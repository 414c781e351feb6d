"""Objects whose arrays outgrow the memory, in one memory-mapped file each."""

from __future__ import annotations

from typing import Any

from mlic.datasets.base import spoken_once, write_whole
from mlic.datasets.science import _ScienceDataset

__all__ = ["MappedDataset"]


class MappedDataset(_ScienceDataset):
    """An object that reads its own memory-mapped file.

    Parameters
    ----------
    filepath
        The file.
    holds
        Dotted path of a class with ``save(path)`` and a class method ``open(path)``. An object that
        lies in a file already is not written again: `save` gives that file a second name.
    metadata
        For plugins; not used here.
    """

    def __init__(self, filepath: str, holds: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath, holds, metadata)

    def load(self) -> Any:
        """Map the file to memory; its arrays are not read yet.

        Raises
        ------
        DatasetDataError
            If the file is damaged or holds an object of another class.
        """
        with spoken_once(self._filepath):
            return self._held_class().open(self._filepath)

    def save(self, data: Any) -> None:
        """Write the object, or link the file it lies in.

        Raises
        ------
        DatasetDataError
            If it is not an instance of the class ``holds``.
        """
        self._require_instance(data)
        with spoken_once(self._filepath), write_whole(self._filepath) as partial:
            data.save(partial)

"""Visual Genome with its 500 most frequent categories (VG-500)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mlic.datasets.base import (
    DatasetDataError,
    FileDataset,
    read_json,
    require_files,
    resolve_inside,
    wrap_errors,
)
from mlic.images.records import ImageRecords
from mlic.labels import PRESENT, LabelMatrix, LabelSpace

__all__ = ["VisualGenomeDataset"]

SPLITS = {"train": "train_list_{}.txt", "test": "test_list_{}.txt"}
FOLDERS = ("VG_100K", "VG_100K_2", ".")


class VisualGenomeDataset(FileDataset):
    """Visual Genome's most frequent categories, with the split of SSGRL.

    Parameters
    ----------
    folder
        The folder with ``train_list_500.txt``, ``test_list_500.txt``,
        ``vg_category_500_labels_index.json`` (from the file name of an image to the numbers of its
        categories), and the images in ``VG_100K/`` and ``VG_100K_2/``.
    num_labels
        Number of categories, which is part of the names of the files.
    names
        Text file with the name of each category, one a line. The published files have none:
        without it, labels are called ``category 000`` and so on.

    References
    ----------
    Chen et al., "Learning semantic-specific graph representation for multi-label image
    recognition" (SSGRL), ICCV 2019. Krishna et al., "Visual Genome", IJCV 2017.
    """

    def __init__(
        self,
        folder: str,
        num_labels: int = 500,
        names: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(folder, metadata)
        self._folder, self._num_labels, self._names = self._filepath, num_labels, names

    def _describe(self) -> dict[str, Any]:
        return {"folder": self._folder, "num_labels": self._num_labels, "names": self._names}

    def load(self) -> ImageRecords:
        """Read ids, labels and split without decoding images.

        Files that are missing, damaged or contradictory raise `DatasetDataError`.
        """
        with wrap_errors(self._folder):
            index_file = self._folder / f"vg_category_{self._num_labels}_labels_index.json"
            index = read_json(index_file, dict[str, list[int]])
            listed, split = list[str](), list[str]()
            for name, pattern in SPLITS.items():
                text = (self._folder / pattern.format(self._num_labels)).read_text("utf-8")
                own = [line.strip() for line in text.splitlines() if line.strip()]
                listed += own
                split += [name] * len(own)
            states = np.zeros((len(listed), self._num_labels), np.int8)
            for row, name in enumerate(listed):
                columns = index.get(name)
                if columns is None or not all(0 <= c < self._num_labels for c in columns):
                    raise DatasetDataError(
                        f"{index_file}: '{name}' is missing, or has a number outside 0 to "
                        f"{self._num_labels - 1}: restore the file",
                        path=index_file,
                        name=name,
                    )
                states[row, columns] = PRESENT
            labels = LabelMatrix(
                LabelSpace(self._label_names()),
                np.asarray(listed, dtype=np.str_),
                states,
                np.asarray(split),
            )
            paths = [self._find(name) for name in listed]
            require_files(paths, self._folder)
            return ImageRecords(labels, paths)

    def _label_names(self) -> tuple[str, ...]:
        if self._names is None:
            digits = len(str(self._num_labels - 1))
            return tuple(f"category {number:0{digits}}" for number in range(self._num_labels))
        path = Path(self._names)
        names = tuple(line.strip() for line in path.read_text("utf-8").splitlines() if line.strip())
        if len(names) != self._num_labels:
            raise DatasetDataError(
                f"{path} has {len(names)} names, not {self._num_labels}: give one a category",
                path=path,
                found=len(names),
                expected=self._num_labels,
            )
        return names

    def _find(self, name: str) -> Path:
        """Path of an image in either of the two folders."""
        # Only the last part counts, so that a list cannot lead out of the folder.
        folders = [(self._folder / folder).resolve() for folder in FOLDERS]
        places = [place / Path(name).name for place in folders]
        found = next((place for place in places if place.is_file()), places[0])
        return resolve_inside(found.parent, [found.name])[0]

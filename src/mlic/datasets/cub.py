"""Caltech-UCSD Birds: visible concepts and species as labels of one space."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlic.datasets.base import (
    DatasetDataError,
    FileDataset,
    require_files,
    resolve_inside,
    wrap_errors,
)
from mlic.images.records import ImageRecords
from mlic.labels import ABSENT, PRESENT, UNKNOWN, LabelMatrix, LabelSpace

__all__ = ["CubDataset"]

NOT_VISIBLE = 1  # code of the annotator's certainty


class CubDataset(FileDataset):
    """CUB-200-2011 as a multi-label data set: concepts first, then species.

    An annotator's single answers are noisy. As in concept bottleneck models, a concept therefore
    has the state that most training images of the species have (a tie counts as present), and only
    concepts that at least `min_species` species have are kept: 112 of 312 in that paper.
    A concept that the annotator could not see in an image is unknown there. The split is the
    official one: 5,994 training and 5,794 test images.

    Parameters
    ----------
    folder
        ``CUB_200_2011`` with ``images/``, ``images.txt``, ``classes.txt``,
        ``image_class_labels.txt``, ``train_test_split.txt`` and
        ``attributes/image_attribute_labels.txt``. The names of the concepts are in
        ``attributes.txt``, there, in ``attributes/``, or beside the folder, as in the archive.
    min_species
        Fewest species with a concept.

    References
    ----------
    Wah et al., "The Caltech-UCSD Birds-200-2011 dataset", 2011. Koh et al., "Concept bottleneck
    models", ICML 2020.
    """

    def __init__(
        self, folder: str, min_species: int = 10, metadata: dict[str, Any] | None = None
    ) -> None:
        super().__init__(folder, metadata)
        self._folder, self._min_species = self._filepath, min_species

    def _describe(self) -> dict[str, Any]:
        return {"folder": self._folder, "min_species": self._min_species}

    def load(self) -> ImageRecords:
        """Read ids, labels and split without decoding images.

        Files that are missing, damaged or contradictory raise `DatasetDataError`.
        """
        with wrap_errors(self._folder):
            numbers, files = _read_names(self._folder / "images.txt")
            rows = {number: row for row, number in enumerate(numbers)}
            class_numbers, classes = _read_names(self._folder / "classes.txt")
            columns = {number: column for column, number in enumerate(class_numbers)}
            species = self._read_column("image_class_labels.txt", rows, columns)
            is_train = self._read_column("train_test_split.txt", rows, {"0": 0, "1": 1}) == 1
            names, concepts = self._read_concepts(rows, species, is_train, len(classes))
            one_hot = np.full((len(files), len(classes)), ABSENT, np.int8)
            one_hot[np.arange(len(files)), species] = PRESENT
            paths = resolve_inside((self._folder / "images").resolve(), files)
            require_files(paths, self._folder / "images.txt")
            labels = LabelMatrix(
                LabelSpace((*names, *classes)),
                np.asarray(files, dtype=np.str_),
                np.concatenate([concepts, one_hot], axis=1),
                np.where(is_train, "train", "test"),
            )
            return ImageRecords(labels, paths)

    def _read_column(
        self, name: str, rows: dict[str, int], codes: dict[str, int]
    ) -> NDArray[np.intp]:
        """Read one code for each image."""
        path, found = self._folder / name, np.full(len(rows), -1)
        for number, code in _read_lines(path, 2):
            if number not in rows or code not in codes:
                raise DatasetDataError(
                    f"{path}: the line '{number} {code}' names an unknown image or code",
                    path=path,
                    name=number,
                )
            found[rows[number]] = codes[code]
        if (found < 0).any():
            raise DatasetDataError(f"{path} lacks {(found < 0).sum()} of the images", path=path)
        return found

    def _read_concepts(
        self,
        rows: dict[str, int],
        species: NDArray[np.intp],
        is_train: NDArray[np.bool_],
        num_species: int,
    ) -> tuple[list[str], NDArray[np.int8]]:
        """Read the names of the kept concepts, and their states in every image."""
        places = [self._folder, self._folder / "attributes", self._folder.parent]
        listed = [place / "attributes.txt" for place in places]
        numbers, names = _read_names(next((p for p in listed if p.is_file()), listed[0]))
        columns = {number: column for column, number in enumerate(numbers)}
        states = np.full((len(rows), len(names)), UNKNOWN, np.int8)
        certainty = np.zeros(states.shape, np.int8)
        path = self._folder / "attributes" / "image_attribute_labels.txt"
        for image, concept, present, certain in _read_lines(path, 4):
            if image not in rows or concept not in columns or present not in ("0", "1"):
                raise DatasetDataError(
                    f"{path}: the line '{image} {concept} {present} …' names an unknown image, "
                    "attribute or state",
                    path=path,
                    name=image,
                )
            states[rows[image], columns[concept]] = int(present)
            certainty[rows[image], columns[concept]] = int(certain)
        unseen = certainty == NOT_VISIBLE
        majority = _vote(np.where(unseen & (states != PRESENT), UNKNOWN, states), species, is_train,
                         num_species)  # fmt: skip
        kept = np.flatnonzero((majority == PRESENT).sum(axis=0) >= self._min_species)
        found = np.where(unseen, UNKNOWN, majority[species])[:, kept].astype(np.int8)
        return [names[column] for column in kept], found


def _vote(
    states: NDArray[np.int8],
    species: NDArray[np.intp],
    is_train: NDArray[np.bool_],
    num_species: int,
) -> NDArray[np.int8]:
    """State of each concept in most training images of each species; shape (species, concepts)."""
    found = np.zeros((num_species, states.shape[1]), np.int8)
    for number in range(num_species):
        own = states[(species == number) & is_train]
        present, absent = (own == PRESENT).sum(axis=0), (own == ABSENT).sum(axis=0)
        found[number] = (present >= absent) & (present > 0)
    return found


def _read_lines(path: Path, fields: int) -> Iterator[list[str]]:
    """Give the first fields of every line; some lines of the original files have too many."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if len(parts := line.split()) >= fields:
                yield parts[:fields]


def _read_names(path: Path) -> tuple[list[str], list[str]]:
    """Read numbers and names, one of each a line."""
    pairs = list(_read_lines(path, 2))
    return [number for number, _ in pairs], [name for _, name in pairs]

"""PASCAL VOC's image-level labels, from the layout of its development kit."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mlic.datasets.base import (
    DatasetDataError,
    FileDataset,
    require_files,
    resolve_inside,
    wrap_errors,
)
from mlic.images.records import ImageRecords
from mlic.labels import ABSENT, PRESENT, UNKNOWN, LabelMatrix, LabelSpace

__all__ = ["VocDataset"]

logger = logging.getLogger(__name__)

# fmt: off
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)
# fmt: on
# VOC's 0 marks images in which annotators found every object of the class difficult.
STATES = {"-1": ABSENT, "0": UNKNOWN, "1": PRESENT}
States = dict[str, list[int]]


class VocDataset(FileDataset):
    """One year of PASCAL VOC, read from ``ImageSets/Main/<class>_<set>.txt``.

    VOC's -1, 0 and 1 become absent, unknown (difficult) and present. The test split is read if
    its lists exist; otherwise a warning is logged.

    Parameters
    ----------
    folder
        ``VOCdevkit``, the folder that contains it, or the year's folder in it.
    year
        The year, such as 2007.
    training_set
        ``"train"``: VOC's ``train`` and ``val`` are training and validation. ``"trainval"``: both
        are training images, as in published figures on VOC; validation is split off later.

    References
    ----------
    Everingham et al., "The Pascal Visual Object Classes (VOC) challenge", IJCV 2010, and the
    development kit's documentation, section "Classification task".
    """

    def __init__(
        self,
        folder: str,
        year: int | str,
        training_set: Literal["train", "trainval"] = "train",
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(folder, metadata)
        self._folder, self._year, self._training_set = self._filepath, str(year), training_set

    def _describe(self) -> dict[str, Any]:
        return {"folder": self._folder, "year": self._year, "training_set": self._training_set}

    def _exists(self) -> bool:
        return (self._root / "ImageSets" / "Main").is_dir()

    @property
    def _root(self) -> Path:
        # Users pass VOCdevkit, the folder around it, or the year's folder inside.
        nested, name = self._folder / "VOCdevkit", f"VOC{self._year}"
        if self._folder.name == name and not nested.is_dir():
            return self._folder
        return (nested if nested.is_dir() else self._folder) / name

    def load(self) -> ImageRecords:
        """Read ids, labels and splits without decoding images.

        Lists that are missing or contradictory, and missing images, raise `DatasetDataError`.
        """
        with wrap_errors(self._root):
            splits = self._splits()
            ids = [name for states in splits.values() for name in states]
            states = [row for each in splits.values() for row in each.values()]
            declared = [split for split, each in splits.items() for _ in each]
            folder = (self._root / "JPEGImages").resolve()
            paths = resolve_inside(folder, [f"{name}.jpg" for name in ids])
            require_files(paths, self._root / "ImageSets" / "Main")
            columns = np.asarray(ids), np.asarray(states, np.int8), np.asarray(declared)
            return ImageRecords(LabelMatrix(LabelSpace(CLASSES), *columns), paths)

    def _splits(self) -> dict[str, States]:
        names = {"train": self._training_set, "validation": "val", "test": "test"}
        if self._training_set == "trainval":
            del names["validation"]
        if not self._root.is_dir():
            raise DatasetDataError(
                f"there is no folder {self._root}: set 'folder' to the one that contains it "
                "(--params folder=…), or correct 'year'",
            )
        splits = {split: self._read_set(name) for split, name in names.items()}
        if not splits["train"]:
            raise DatasetDataError(
                f"{self._root}/ImageSets/Main has no lists such as "
                f"{CLASSES[0]}_{self._training_set}.txt, from which labels are read: unpack VOC's "
                "trainval archive there, or correct 'training_set'",
                value=self._training_set,
            )
        # No error: the test lists of some years are not public.
        if not splits["test"]:
            logger.warning(
                "%s has no lists of its test set: test images are split off the training "
                "images; unpack VOC's test archive over it, if the year has one",
                self._root,
            )
        return {split: states or {} for split, states in splits.items()}

    def _read_set(self, name: str) -> States | None:
        """Read the states of all classes by image id; None if no class has a list of that set."""
        # train_val.txt is the class 'train' in the set 'val', so file names cannot be parsed.
        files = [self._root / "ImageSets" / "Main" / f"{label}_{name}.txt" for label in CLASSES]
        missing = [file for file in files if not file.is_file()]
        if len(missing) == len(files):
            return None
        if missing:
            raise DatasetDataError(
                f"{len(missing)} of {len(files)} lists of '{name}' are missing, first "
                f"{missing[0]}: unpack VOC's archive again",
                path=missing[0],
                found=len(missing),
            )
        columns = [_read_list(file) for file in files]
        for file, column in zip(files, columns, strict=True):
            # Columns are joined by position below, so ids and their order must be the same.
            if list(column) != list(columns[0]):
                raise DatasetDataError(
                    f"{file} lists other images than {files[0].name}: unpack VOC's archive again",
                    path=file,
                )
        return {name: [column[name] for column in columns] for name in columns[0]}


def _read_list(file: Path) -> dict[str, int]:
    """Read the states of one class by image id."""
    states: dict[str, int] = {}
    for line in filter(str.strip, file.read_text(encoding="utf-8").splitlines()):
        # Present states are padded to two characters, so that there are one or two spaces.
        name, _, state = line.strip().partition(" ")
        if state.strip() not in STATES or name in states or Path(name).name != name:
            raise DatasetDataError(
                f"{file}: the line '{line.strip()}' is not a new image id with -1, 0 or 1: "
                "unpack VOC's archive again",
                path=file,
                value=line.strip(),
            )
        states[name] = STATES[state.strip()]
    return states

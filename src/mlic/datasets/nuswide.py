"""NUS-WIDE's labels, from its own lists or from the one table in which it is often passed on."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, Literal

import numpy as np
from kedro.io import AbstractDataset
from numpy.typing import NDArray

from mlic.datasets.base import DatasetDataError, resolve_inside, wrap_errors
from mlic.errors import LabelError
from mlic.images.records import ImageRecords
from mlic.labels import PRESENT, LabelMatrix, LabelSpace

__all__ = ["NusWideDataset"]

LIST_SPLITS = {"Train": "train", "Test": "test"}
TABLE_SPLITS = {"train": "train", "val": "test"}
FILES = {"lists": "ImageList/TrainImagelist.txt", "table": "nus_wid_data.csv"}
IMAGES = ("Flickr", "images", ".")


class NusWideDataset(AbstractDataset[None, ImageRecords]):
    r"""NUS-WIDE and its 81 concepts, in either of the two forms in which people have it.

    ``lists``, as published: ``ImageList/{Train,Test}Imagelist.txt`` with paths such as
    ``actor\0001_2124494179.jpg``; ``Groundtruth/TrainTestLabels/Labels_<concept>_{Train,Test}.txt``
    with one 0 or 1 an image; ``Concepts81.txt``, here or in ``ConceptsList/``.

    ``table``, as passed on with ASL and its followers: ``nus_wid_data.csv``, whose three columns
    are an image's path, ``label`` (a list of names, such as ``['sky', 'clouds']``) and the split,
    ``train`` or ``val``. Without ``Concepts81.txt`` the names, sorted, are the class list. Such
    tables differ in images and split: figures compare on the same one alone.

    ``Test`` and ``val`` are the test split; validation is to be split off training. Image ids are
    the listed paths, with ``/``. Images lie in ``Flickr/``, in ``images/`` or in the folder
    itself: the first that holds any of them. Many are gone from the web, so missing ones are not
    refused here but set aside when the images are decoded, up to ``data.max_unreadable``.

    Parameters
    ----------
    folder
        Holds what is named above.
    form
        ``"lists"`` or ``"table"``; may be left out where there is only one.
    keep_unlabelled
        Whether images without any label stay, with every label absent. Published figures are
        mostly without them.
    metadata
        For plugins; not used here.

    Raises
    ------
    DatasetDataError
        If ``form`` is neither.

    References
    ----------
    Chua et al., "NUS-WIDE: a real-world web image database from National University of
    Singapore", CIVR 2009. The table: Ridnik et al., "Asymmetric loss for multi-label
    classification", ICCV 2021.
    """

    def __init__(
        self,
        folder: str,
        form: Literal["lists", "table"] | None = None,
        keep_unlabelled: bool = True,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        if form not in (None, *FILES):
            raise DatasetDataError(f"NUS-WIDE's form is {', '.join(FILES)} or none, not '{form}'")
        self._folder = Path(folder)
        self._form = form
        self._keep_unlabelled = keep_unlabelled
        self.metadata = metadata

    def _describe(self) -> dict[str, Any]:
        return {
            "folder": self._folder,
            "form": self._form,
            "keep_unlabelled": self._keep_unlabelled,
        }

    def _exists(self) -> bool:
        return bool(self._forms())

    def load(self) -> ImageRecords:
        """Read ids, labels and splits; no image is decoded.

        Raises
        ------
        DatasetDataError
            If lists or table are absent, damaged or contradict each other, or no listed image
            is there at all.
        """
        with wrap_errors(self._folder):
            read = {"lists": _read_lists, "table": _read_table}[self._find_form()]
            labels = read(self._folder)
            if not self._keep_unlabelled:
                labels = labels.take(np.flatnonzero((labels.states == PRESENT).any(axis=1)))
            return ImageRecords(labels, self._find_images(labels.ids.tolist()))

    def save(self, data: None) -> None:
        """Refuse: NUS-WIDE's layout is read only.

        Raises
        ------
        DatasetDataError
            Always.
        """
        raise DatasetDataError(f"{self._folder} is read only: save to a ManifestDataset")

    def _forms(self) -> list[str]:
        """Forms that are asked for and there."""
        wanted = FILES if self._form is None else {self._form: FILES[self._form]}
        return [form for form, file in wanted.items() if (self._folder / file).is_file()]

    def _find_form(self) -> str:
        forms = self._forms()
        if len(forms) == 1:
            return forms[0]
        lists, table = FILES.values()
        raise DatasetDataError(
            f"{self._folder} holds both {lists} and {table}: name 'lists' or 'table' as 'form'"
            if forms
            else f"{self._folder} has no {FILES.get(self._form or '', f'{lists} or {table}')}: "
            "unpack NUS-WIDE there, or correct 'folder' or 'form'"
        )

    def _find_images(self, names: list[str]) -> list[Path]:
        """Paths in the first folder that holds a listed image; some may be missing."""
        for place in IMAGES:
            folder = (self._folder / place).resolve()
            paths = resolve_inside(folder, names) if folder.is_dir() else []
            if any(path.is_file() for path in paths):
                return paths
        raise DatasetDataError(
            f"{self._folder}: no listed image{f', such as {names[0]},' if names else ''} lies in "
            f"its {', '.join(IMAGES[:-1])} or itself: unpack the images there, or link to them"
        )


def _read_lists(folder: Path) -> LabelMatrix:
    """Labels from the image lists and one file a concept and set."""
    space = _read_concepts(folder)
    if space is None:
        raise DatasetDataError(f"{folder} has no Concepts81.txt: unpack NUS-WIDE's concept list")
    names = {part: _read_names(folder / f"ImageList/{part}Imagelist.txt") for part in LIST_SPLITS}
    states = [_read_states(folder, space, part, len(names[part])) for part in LIST_SPLITS]
    split = [np.full(len(names[part]), word) for part, word in LIST_SPLITS.items()]
    ids = [name for each in names.values() for name in each]
    return LabelMatrix(space, np.asarray(ids), np.concatenate(states), np.concatenate(split))


def _read_concepts(folder: Path) -> LabelSpace | None:
    """Class list in the file's order, or None where there is no file of it."""
    files = [folder / "ConceptsList" / "Concepts81.txt", folder / "Concepts81.txt"]
    file = next((file for file in files if file.is_file()), None)
    return None if file is None else LabelSpace(tuple(_read_names(file)))


def _read_names(file: Path) -> list[str]:
    """Lines that are not blank, with ``/`` for the backslash of NUS-WIDE's paths."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line.strip().replace("\\", "/") for line in lines if line.strip()]


def _read_states(folder: Path, space: LabelSpace, part: str, num_images: int) -> NDArray[np.int8]:
    """States of one set; shape (num_images, C)."""
    states = np.zeros((num_images, len(space)), dtype=np.int8)
    for column, name in enumerate(space.names):
        file = folder / "Groundtruth" / "TrainTestLabels" / f"Labels_{name}_{part}.txt"
        words = file.read_text(encoding="utf-8").split()
        strange = set(words) - {"0", "1"}
        if strange or len(words) != num_images:
            raise DatasetDataError(
                f"{file} has {len(words)} lines for the {num_images} images of "
                f"{part}Imagelist.txt"
                + (f", and '{min(strange)}' for 0 or 1" if strange else "")
                + ": unpack NUS-WIDE's ground truth again"
            )
        states[:, column] = np.asarray(words) == "1"
    return states


def _read_table(folder: Path) -> LabelMatrix:
    """Labels from the table; its first and last column go by various names, so place counts."""
    import pandas as pd

    file = folder / FILES["table"]
    with wrap_errors(file):
        frame = pd.read_csv(file, dtype=str, keep_default_na=False)
        if frame.shape[1] != 3 or frame.columns[1] != "label":
            raise DatasetDataError(
                f"{file} has the columns {', '.join(frame.columns)}: "
                "give three, the image's path, 'label' and the split"
            )
        paths, labels, split = (frame.iloc[:, column] for column in range(3))
        strange = sorted(set(split) - set(TABLE_SPLITS))
        if strange:
            raise DatasetDataError(f"{file}: the split '{strange[0]}' is neither train nor val")
        codes, texts = pd.factorize(labels)  # many images share their labels: parse each once
        lists = [_parse_label(text, file) for text in texts]
        space = _read_concepts(folder) or LabelSpace(tuple(sorted(set().union(*lists))))
        states = _mark(lists, space, file)[codes]
        ids = paths.str.replace("\\", "/", regex=False)
        return LabelMatrix(space, ids.to_numpy(str), states, split.map(TABLE_SPLITS).to_numpy(str))


def _parse_label(text: str, file: Path) -> list[str]:
    """Names in the text of a Python list, which is read and never run."""
    try:
        names = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DatasetDataError(
            f"{file}: the label {text[:80]} is no list of names such as ['sky', 'clouds']"
        )
    return names


def _mark(lists: list[list[str]], space: LabelSpace, file: Path) -> NDArray[np.int8]:
    """States of lists of names; shape (len(lists), C)."""
    states = np.zeros((len(lists), len(space)), dtype=np.int8)
    for row, names in enumerate(lists):
        try:
            states[row, space.indices(names)] = PRESENT
        except LabelError as error:
            raise DatasetDataError(f"{file} and Concepts81.txt: {error}") from error
    return states

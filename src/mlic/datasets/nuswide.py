"""NUS-WIDE's labels, from its own lists or from the table in which it is often distributed."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlic.datasets.base import DatasetDataError, FileDataset, resolve_inside, wrap_errors
from mlic.images.records import ImageRecords
from mlic.labels import PRESENT, LabelMatrix, LabelSpace

__all__ = ["NusWideDataset"]

# Both forms name their test split, but not alike.
LIST_SPLITS = {"Train": "train", "Test": "test"}
TABLE_SPLITS = {"train": "train", "val": "test"}
FILES = {"lists": "ImageList/TrainImagelist.txt", "table": "nus_wid_data.csv"}
IMAGES = ("Flickr", "images", ".")  # folders of images, in the order in which they are searched


class NusWideDataset(FileDataset):
    r"""NUS-WIDE with its 81 concepts, in either of the two forms in which it is distributed.

    ``lists``, as published: ``ImageList/{Train,Test}Imagelist.txt`` with paths such as
    ``actor\0001_2124494179.jpg``; ``Groundtruth/TrainTestLabels/Labels_<concept>_{Train,Test}.txt``
    with one 0 or 1 per image; ``Concepts81.txt``, here or in ``ConceptsList/``.

    ``table``, as distributed with ASL and later work: ``nus_wid_data.csv``, whose three columns
    are an image's path, ``label`` (a list of names, such as ``['sky', 'clouds']``) and the split,
    ``train`` or ``val``. Without ``Concepts81.txt``, the class list is the sorted names. Such
    tables differ in images and split: compare figures only on the same table.

    ``Test`` and ``val`` are the test split; validation images are split off training later. Image
    ids are the listed paths, with ``/``. Images are in ``Flickr/``, in ``images/`` or in the folder
    itself: the first that contains any of them. Many have left the web, so missing images are not
    refused here but put into quarantine when images are decoded, up to ``data.max_unreadable``.

    Parameters
    ----------
    folder
        The folder with the files named above.
    form
        ``"lists"`` or ``"table"``; not needed if the folder contains only one of them.
    keep_unlabelled
        Whether images without any label are kept, with every label absent. Most published
        figures exclude them.

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
            raise DatasetDataError(
                f"the form of NUS-WIDE is {' or '.join(FILES)}, not '{form}': correct 'form'",
                parameter="form",
                value=form,
            )
        super().__init__(folder, metadata)
        self._folder, self._form, self._keep_unlabelled = self._filepath, form, keep_unlabelled

    def _describe(self) -> dict[str, Any]:
        labelled = {"form": self._form, "keep_unlabelled": self._keep_unlabelled}
        return {"folder": self._folder, **labelled}

    def _exists(self) -> bool:
        return bool(self._forms())

    def load(self) -> ImageRecords:
        """Read ids, labels and splits without decoding images.

        Lists or a table that are missing, damaged or contradictory raise `DatasetDataError`, and so
        do listed images of which none exists.
        """
        with wrap_errors(self._folder):
            read = {"lists": _read_lists, "table": _read_table}[self._find_form()]
            labels = read(self._folder)
            if not self._keep_unlabelled:
                labels = labels.take(np.flatnonzero((labels.states == PRESENT).any(axis=1)))
            return ImageRecords(labels, self._find_images(labels.ids.tolist()))

    def _forms(self) -> list[str]:
        """Return the forms that are asked for and exist."""
        wanted = FILES if self._form is None else {self._form: FILES[self._form]}
        return [form for form, file in wanted.items() if (self._folder / file).is_file()]

    def _find_form(self) -> str:
        # With both, guessing would choose between two different data sets.
        forms = self._forms()
        if len(forms) == 1:
            return forms[0]
        lists, table = FILES.values()
        raise DatasetDataError(
            f"{self._folder} contains both {lists} and {table}: set 'form' to 'lists' or 'table'"
            if forms
            else f"{self._folder} has no {FILES.get(self._form or '', f'{lists} or {table}')}: "
            "unpack NUS-WIDE there, or correct 'folder' or 'form'",
            found=forms,
        )

    def _find_images(self, names: list[str]) -> list[Path]:
        """Return paths in the first folder that contains a listed image; some may be missing."""
        for place in IMAGES:
            folder = (self._folder / place).resolve()
            paths = resolve_inside(folder, names) if folder.is_dir() else []
            if any(path.is_file() for path in paths):
                return paths
        raise DatasetDataError(
            f"{self._folder}: no listed image{f', such as {names[0]},' if names else ''} is in its "
            f"folders {', '.join(IMAGES[:-1])} or itself: unpack the images there, or link to them",
            name=names[0] if names else None,
        )


def _read_lists(folder: Path) -> LabelMatrix:
    """Read labels from the image lists and one file per concept and set."""
    space = _read_concepts(folder)
    if space is None:
        raise DatasetDataError(f"{folder} has no Concepts81.txt: unpack NUS-WIDE's concept list")
    names = {part: _read_names(folder / f"ImageList/{part}Imagelist.txt") for part in LIST_SPLITS}
    states = [_read_states(folder, space, part, len(names[part])) for part in LIST_SPLITS]
    split = [np.full(len(names[part]), word) for part, word in LIST_SPLITS.items()]
    ids = [name for each in names.values() for name in each]
    return LabelMatrix(space, np.asarray(ids), np.concatenate(states), np.concatenate(split))


def _read_concepts(folder: Path) -> LabelSpace | None:
    """Read the class list in the file's order, or None if there is no such file."""
    files = [folder / "ConceptsList" / "Concepts81.txt", folder / "Concepts81.txt"]
    file = next((file for file in files if file.is_file()), None)
    return None if file is None else LabelSpace(tuple(_read_names(file)))


def _read_names(file: Path) -> list[str]:
    """Read lines that are not blank, with ``/`` for the backslash of NUS-WIDE's paths."""
    # A backslash separates folders on Windows only, / on every system.
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line.strip().replace("\\", "/") for line in lines if line.strip()]


def _read_states(folder: Path, space: LabelSpace, part: str, num_images: int) -> NDArray[np.int8]:
    """Read the states of one set; int8, shape (num_images, C)."""
    states = np.zeros((num_images, len(space)), dtype=np.int8)
    for column, name in enumerate(space.names):
        file = folder / "Groundtruth" / "TrainTestLabels" / f"Labels_{name}_{part}.txt"
        words = file.read_text(encoding="utf-8").split()
        # The files have no ids: only the number of lines can show that a file is incomplete.
        strange = set(words) - {"0", "1"}
        if strange or len(words) != num_images:
            raise DatasetDataError(
                f"{file} has {len(words)} lines for the {num_images} images of "
                f"{part}Imagelist.txt"
                + (f", and '{min(strange)}' instead of 0 or 1" if strange else "")
                + ": unpack NUS-WIDE's ground truth again",
                path=file,
                found=len(words),
                expected=num_images,
            )
        states[:, column] = np.asarray(words) == "1"
    return states


def _read_table(folder: Path) -> LabelMatrix:
    """Read labels from the table; the names of its first and last column vary, not their place."""
    import pandas as pd

    file = folder / FILES["table"]
    with wrap_errors(file):
        frame = pd.read_csv(file, dtype=str, keep_default_na=False)
        if frame.shape[1] != 3 or frame.columns[1] != "label":
            raise DatasetDataError(
                f"{file} has the columns {', '.join(frame.columns)}: "
                "it needs three, the image's path, 'label' and the split",
                found=list(frame.columns),
            )
        paths, labels, split = (frame.iloc[:, column] for column in range(3))
        strange = sorted(set(split) - set(TABLE_SPLITS))
        if strange:
            raise DatasetDataError(
                f"{file}: the split '{strange[0]}' is neither train nor val: correct the table",
                value=strange[0],
            )
        # Many images have the same labels: parse each text once.
        codes, texts = pd.factorize(labels)
        lists = [_parse_label(text, file) for text in texts]
        space = _read_concepts(folder) or LabelSpace(tuple(sorted(set().union(*lists))))
        states = _mark(lists, space, file)[codes]
        ids = paths.str.replace("\\", "/", regex=False)
        return LabelMatrix(space, ids.to_numpy(str), states, split.map(TABLE_SPLITS).to_numpy(str))


def _parse_label(text: str, file: Path) -> list[str]:
    """Parse the text of a Python list of names, without evaluating it."""
    # The file may come from anywhere: literal_eval runs no code.
    try:
        names = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DatasetDataError(
            f"{file}: the label {text[:80]} is not a list of names such as ['sky', 'clouds']: "
            "correct the table",
            value=text,
        )
    return names


def _mark(lists: list[list[str]], space: LabelSpace, file: Path) -> NDArray[np.int8]:
    """Convert lists of names to states; int8, shape (len(lists), C)."""
    states = np.zeros((len(lists), len(space)), dtype=np.int8)
    # The table may contain a name that the list lacks; the error names both files.
    with wrap_errors(f"{file} and Concepts81.txt"):
        for row, names in enumerate(lists):
            states[row, space.indices(names)] = PRESENT
    return states

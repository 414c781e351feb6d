"""The four ways in which a manifest may state labels, read to one matrix of states.

A list of names, a list of 1/0/−1, a delimited string of names, or one column a class.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mlic.datasets.base import DatasetDataError
from mlic.datasets.manifest.hints import RESERVED, column_slip, label_slip, mend_no_label
from mlic.labels import ABSENT, PRESENT, UNKNOWN, LabelSpace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["Manifest", "free_space"]

STATES = {"1": PRESENT, "0": ABSENT, "-1": UNKNOWN, "": UNKNOWN}
SPLITS = {"train": "train", "test": "test", "": ""} | dict.fromkeys(
    ("validation", "valid", "val"), "validation"
)


@dataclass(frozen=True)
class Manifest:
    """One manifest file as read, before its labels are joined with those of others.

    Parameters
    ----------
    file
        For messages.
    frame
        The rows; missing values are empty strings where a column holds text.
    metadata
        The schema's metadata, for the class list under ``classes``.
    delimiter
        Between the labels of a delimited string.
    """

    file: Path
    frame: pd.DataFrame
    metadata: dict[str, str]
    delimiter: str

    def __post_init__(self) -> None:
        if slip := column_slip([str(name) for name in self.frame.columns]):
            raise DatasetDataError(f"{self.file} {slip}")

    @cached_property
    def ids(self) -> NDArray[np.str_]:
        """Image ids: ``image_id``, else the path, else the row number; shape (n,)."""
        for column in ("image_id", "path"):
            if column in self.frame:
                ids = self.frame[column]
                if ids.isna().any() or (ids == "").any():
                    raise DatasetDataError(f"{self.file}: a row has no {column}: fill it in")
                return np.asarray(ids.astype(str), dtype=np.str_)
        return np.arange(len(self.frame)).astype(np.str_)

    @cached_property
    def split(self) -> NDArray[np.str_]:
        """Declared splits in mlic's names, empty where none is declared; shape (n,)."""
        if "split" not in self.frame:
            return np.full(len(self.frame), "", dtype=np.str_)
        words = [_text(word).lower() for word in self.frame["split"]]
        for word, name in zip(words, self.ids, strict=True):
            if word not in SPLITS:
                raise DatasetDataError(
                    f"{self.file}: image '{name}' is in split '{word}', which is none of "
                    f"{', '.join(filter(None, SPLITS))}: rename it or leave it empty"
                )
        return np.asarray([SPLITS[word] for word in words], dtype=np.str_)

    @cached_property
    def groups(self) -> NDArray[np.str_] | None:
        """Groups; an image without one is a group of its own; shape (n,)."""
        if "group" not in self.frame:
            return None
        words = [_text(word) for word in self.frame["group"]]
        pairs = zip(words, self.ids, strict=True)
        return np.asarray([word or f"only {name}" for word, name in pairs], dtype=np.str_)

    @cached_property
    def _class_columns(self) -> list[str]:
        return [str(column) for column in self.frame.columns if column not in RESERVED]

    @cached_property
    def _labels(self) -> list[Any]:
        """Cells of the column ``labels``: strings, or arrays of names or of states."""
        gaps = np.flatnonzero(self.frame["labels"].isna())
        if len(gaps):
            raise DatasetDataError(
                f"{self.file}: image '{self.ids[gaps[0]]}' has a null for its labels: write an "
                "empty list where there is none"
            )
        return list(self.frame["labels"])

    @cached_property
    def names_labels(self) -> bool:
        """Whether labels are stated by name, by columns or in rows, and not by position."""
        if "labels" not in self.frame:
            return True
        first = next((row for row in self._labels if len(row)), "")
        return isinstance(first, str) or isinstance(first[0], str)

    def stated_space(self) -> LabelSpace | None:
        """Class list that the file itself fixes, or None where its labels are free names."""
        if "labels" not in self.frame:
            if not self._class_columns:
                raise DatasetDataError(
                    f"{self.file} has neither a column 'labels' nor one column a class: add one"
                )
            return LabelSpace(tuple(self._class_columns))
        if "classes" in self.metadata:
            return LabelSpace(tuple(json.loads(self.metadata["classes"])))
        return None

    def used_names(self) -> set[str]:
        """Names of labels that occur, where labels are free names."""
        if not self.names_labels:
            raise DatasetDataError(
                f"{self.file} lists label states without a class list: name the classes in the "
                "dataset's 'classes', or in the schema's metadata"
            )
        return {name for row in range(len(self.frame)) for name, _ in self._named(row)}

    def states(self, space: LabelSpace) -> NDArray[np.int8]:
        """States of the labels of a class list; shape (n, len(space))."""
        if "labels" not in self.frame:
            return self._column_states(space)
        return self._name_states(space) if self.names_labels else self._list_states(space)

    def _column_states(self, space: LabelSpace) -> NDArray[np.int8]:
        for name in self._class_columns:
            space.index(name)
        states = np.empty((len(self.frame), len(space)), dtype=np.int8)
        for i, name in enumerate(space.names):
            if name not in self.frame:
                raise DatasetDataError(f"{self.file} has no column for the label '{name}': add it")
            states[:, i] = [self._state(word, name, r) for r, word in enumerate(self.frame[name])]
        return states

    def _state(self, word: object, label: str, row: int) -> int:
        text = _text(word).removesuffix(".0")  # pandas reads integers beside gaps as floats
        if text not in STATES:
            raise DatasetDataError(
                f"{self.file}: label '{label}' of image '{self.ids[row]}' is '{text}': "
                f"write 1 (present), 0 (absent), -1 or nothing (unknown); {mend_no_label(label)}"
            )
        return STATES[text]

    def _list_states(self, space: LabelSpace) -> NDArray[np.int8]:
        lengths = np.asarray([len(row) for row in self._labels])
        wrong = np.flatnonzero(lengths != len(space))
        if len(wrong):
            raise DatasetDataError(
                f"{self.file}: image '{self.ids[wrong[0]]}' has {lengths[wrong[0]]} label states "
                f"for {len(space)} classes: give one state a class"
            )
        states = np.stack(self._labels)
        strange = np.argwhere(~np.isin(states, (PRESENT, ABSENT, UNKNOWN)))
        if len(strange):
            row, column = strange[0]
            self._state(states[row, column], space.names[column], row)
        return states.astype(np.int8)

    def _name_states(self, space: LabelSpace) -> NDArray[np.int8]:
        columns = {name: i for i, name in enumerate(space.names)}
        states = np.zeros((len(self.frame), len(space)), dtype=np.int8)
        for row in range(len(states)):
            for name, state in self._named(row):
                if name not in columns:
                    raise DatasetDataError(
                        f"{self.file}: label '{name}' of image '{self.ids[row]}' is not in the "
                        f"class list of {len(space)} labels: correct it or add it to the list"
                    )
                if states[row, columns[name]] not in (ABSENT, state):
                    raise DatasetDataError(
                        f"{self.file}: label '{name}' of image '{self.ids[row]}' is stated both "
                        "as present and as unknown: keep one"
                    )
                states[row, columns[name]] = state
        return states

    def _named(self, row: int) -> Iterator[tuple[str, int]]:
        """Names and states of one row; only in a delimited string does ``?`` mean unknown."""
        labels = self._labels[row]
        if not isinstance(labels, str):
            yield from ((str(name), PRESENT) for name in labels)
            return
        for word in filter(None, (word.strip() for word in labels.split(self.delimiter))):
            name = word.removeprefix("?").strip()
            if not name:
                raise DatasetDataError(
                    f"{self.file}: image '{self.ids[row]}' has a '?' without a label: write it "
                    "before the label that nobody checked, as in ?dog"
                )
            yield name, UNKNOWN if word.startswith("?") else PRESENT

    def delimiter_slip(self) -> str | None:
        """Say if another mark stands between labels, as the delimiter stands nowhere at all."""
        texts = [row for row in self._labels if isinstance(row, str)]
        if any(self.delimiter in text for text in texts):
            return None
        mark = next((mark for mark in ";,|\t" if any(mark in text for text in texts)), None)
        return mark and (
            f"no '{self.delimiter}' stands between labels, but {mark!r} does: set "
            f"label_delimiter: {json.dumps(mark)}"
        )


def free_space(manifests: Sequence[Manifest]) -> LabelSpace:
    """All names of labels that occur in manifests, sorted.

    Raises
    ------
    DatasetDataError
        If names look like slips of the pen; whoever means them gives a class list.
    """
    names = sorted(set().union(*(manifest.used_names() for manifest in manifests)))
    slips = [(manifest.file, manifest.delimiter_slip()) for manifest in manifests]
    for file, slip in [*slips, (manifests[0].file, label_slip(names))]:
        if slip:
            way_out = "or list all names under 'classes' in the catalog's entry"
            raise DatasetDataError(f"{file}: {slip}, {way_out}")
    return LabelSpace(tuple(names))


def _text(value: object) -> str:
    """Text of a cell, empty where the cell is."""
    return "" if value is None or value != value else str(value).strip()  # noqa: PLR0124  NaN

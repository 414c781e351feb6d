"""The four forms in which a manifest may state labels, converted to one matrix of states.

The forms are a list of names, a list of 1/0/−1, a delimited string of names, or one column per
class.
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mlic.datasets.base import DatasetDataError
from mlic.datasets.manifest import hints
from mlic.labels import ABSENT, PRESENT, UNKNOWN, LabelSpace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["Manifest", "free_space"]

# By the text of a cell; an empty cell of a class column is unknown, not absent.
STATES = {"1": PRESENT, "0": ABSENT, "-1": UNKNOWN, "": UNKNOWN}
SPLITS = {"train": "train", "test": "test", "": ""} | dict.fromkeys(
    ("validation", "valid", "val"), "validation"
)


@dataclass(frozen=True)
class Manifest:
    """One manifest file as read, before its labels are joined with those of other files.

    Every mistake in it raises `DatasetDataError`, which names the file.

    Parameters
    ----------
    file
        Path of the file, for messages.
    frame
        The rows; missing values are empty strings where a column contains text.
    metadata
        Metadata of the Parquet schema; the class list is stored under ``classes``.
    delimiter
        Delimiter between the labels of a string.
    """

    file: Path
    frame: pd.DataFrame
    metadata: dict[str, str]
    delimiter: str

    def __post_init__(self) -> None:
        if mistake := hints.check_columns([str(name) for name in self.frame.columns]):
            raise self._error(f"{self.file} {mistake}")

    def _error(self, message: str, **fields: object) -> DatasetDataError:
        return DatasetDataError(message, path=self.file, **fields)

    def _label_error(self, label: str, row: int, mistake: str) -> DatasetDataError:
        name = str(self.ids[row])
        message = f"label '{label}' of image '{name}' {mistake}"
        return self._error(f"{self.file}: {message}", label=label, name=name)

    @cached_property
    def ids(self) -> NDArray[np.str_]:
        """Image ids: ``image_id``, else the path, else the row number; shape (n,)."""
        for column in ("image_id", "path"):
            if column in self.frame:
                ids = self.frame[column]
                if ids.isna().any() or (ids == "").any():
                    raise self._error(f"{self.file}: a row has no {column}: fill it in")
                return np.asarray(ids.astype(str), dtype=np.str_)
        return np.arange(len(self.frame)).astype(np.str_)

    @cached_property
    def split(self) -> NDArray[np.str_]:
        """Declared splits by mlic's names, empty where none is declared; shape (n,)."""
        if "split" not in self.frame:
            return np.full(len(self.frame), "", dtype=np.str_)
        words = [_text(word).lower() for word in self.frame["split"]]
        for word, name in zip(words, self.ids, strict=True):
            if word not in SPLITS:
                raise self._error(
                    f"{self.file}: image '{name}' is in split '{word}', which is none of "
                    f"{', '.join(filter(None, SPLITS))}: rename it or leave it empty",
                    name=str(name),
                    value=word,
                )
        return np.asarray([SPLITS[word] for word in words], dtype=np.str_)

    @cached_property
    def groups(self) -> NDArray[np.str_] | None:
        """Groups; an image without one forms a group alone; shape (n,)."""
        if "group" not in self.frame:
            return None
        words = [_text(word) for word in self.frame["group"]]
        # The prefix keeps an image's own group apart from declared groups of the same name.
        pairs = zip(words, self.ids, strict=True)
        return np.asarray([word or f"only {name}" for word, name in pairs], dtype=np.str_)

    @cached_property
    def _class_columns(self) -> list[str]:
        return [str(column) for column in self.frame.columns if column not in hints.RESERVED]

    @cached_property
    def _labels(self) -> list[Any]:
        """Cells of the column ``labels``: strings, or lists of names or of states."""
        gaps = np.flatnonzero(self.frame["labels"].isna())
        if len(gaps):
            name = str(self.ids[gaps[0]])
            raise self._error(
                f"{self.file}: the labels of image '{name}' are null: write an empty list if it "
                "has none",
                name=name,
            )
        return [_parse_list(cell) for cell in self.frame["labels"]]

    @cached_property
    def names_labels(self) -> bool:
        """Whether labels are given by name, in columns or in rows, and not by position."""
        if "labels" not in self.frame:
            return True
        # Empty rows fit both forms; the first other one decides.
        first = next((row for row in self._labels if len(row)), "")
        return isinstance(first, str) or isinstance(first[0], str)

    def stated_space(self) -> LabelSpace | None:
        """Return the class list that the file itself fixes; None if its labels are free names."""
        if "labels" not in self.frame:
            if not self._class_columns:
                raise self._error(
                    f"{self.file} has neither a column 'labels' nor one column per class: add one"
                )
            return LabelSpace(tuple(self._class_columns))
        if "classes" in self.metadata:
            return LabelSpace(tuple(json.loads(self.metadata["classes"])))
        return None

    def used_names(self) -> set[str]:
        """Return the names of labels that occur in the file; it must give labels by name."""
        if not self.names_labels:
            raise self._error(
                f"{self.file} lists label states without a class list: name the classes in the "
                "dataset's 'classes', or in the schema's metadata"
            )
        return {name for row in range(len(self.frame)) for name, _ in self._named(row)}

    def states(self, space: LabelSpace) -> NDArray[np.int8]:
        """Return the states of the labels of a class list; int8, shape (n, len(space))."""
        if "labels" not in self.frame:
            return self._column_states(space)
        return self._name_states(space) if self.names_labels else self._list_states(space)

    def _column_states(self, space: LabelSpace) -> NDArray[np.int8]:
        # A column outside the class list is an error, because it would be dropped silently.
        for name in self._class_columns:
            space.index(name)
        states = np.empty((len(self.frame), len(space)), dtype=np.int8)
        for i, name in enumerate(space.names):
            if name not in self.frame:
                raise self._error(
                    f"{self.file} has no column for the label '{name}': add it", label=name
                )
            states[:, i] = [self._state(word, name, r) for r, word in enumerate(self.frame[name])]
        return states

    def _state(self, word: object, label: str, row: int) -> int:
        text = _text(word).removesuffix(".0")  # pandas reads integers beside gaps as floats
        if text not in STATES:
            raise self._label_error(
                label,
                row,
                f"is '{text}': write 1 (present), 0 (absent), -1 or nothing (unknown); "
                f"{hints.hint_for_column(label)}",
            )
        return STATES[text]

    def _list_states(self, space: LabelSpace) -> NDArray[np.int8]:
        lengths = np.asarray([len(row) for row in self._labels])
        wrong = np.flatnonzero(lengths != len(space))
        if len(wrong):
            name, found = str(self.ids[wrong[0]]), int(lengths[wrong[0]])
            raise self._error(
                f"{self.file}: image '{name}' has {found} label states for {len(space)} classes: "
                "give one state per class",
                name=name,
                found=found,
                expected=len(space),
            )
        # Checked before the conversion to int8, which would wrap 257 to 1.
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
                    raise self._label_error(
                        name,
                        row,
                        f"is not in the class list of {len(space)} labels: correct it or add it "
                        "to the list",
                    )
                # A label may be repeated, but not with another state.
                if states[row, columns[name]] not in (ABSENT, state):
                    raise self._label_error(
                        name, row, "is given both as present and as unknown: keep one"
                    )
                states[row, columns[name]] = state
        return states

    def _named(self, row: int) -> Iterator[tuple[str, int]]:
        """Yield names and states of one row; ``?`` means unknown in a delimited string only."""
        # In a list, a name may start with "?", because nothing has to be parsed there.
        labels = self._labels[row]
        if not isinstance(labels, str):
            yield from ((str(name), PRESENT) for name in labels)
            return
        for word in filter(None, (word.strip() for word in labels.split(self.delimiter))):
            name = word.removeprefix("?").strip()
            if not name:
                raise self._label_error("?", row, "has no name: write ? before a name, as in ?dog")
            yield name, UNKNOWN if word.startswith("?") else PRESENT

    def check_delimiter(self) -> str | None:
        """Describe the mistake if only another mark than the delimiter separates labels."""
        return hints.check_delimiter(
            [r for r in self._labels if isinstance(r, str)], self.delimiter
        )


def free_space(manifests: Sequence[Manifest]) -> LabelSpace:
    """Return all names of labels that occur in manifests, sorted.

    Names that are probably typing errors raise `DatasetDataError`; a class list confirms names.
    """
    names = sorted(set().union(*(manifest.used_names() for manifest in manifests)))
    checks = [(manifest.file, manifest.check_delimiter()) for manifest in manifests]
    for file, mistake in [*checks, (manifests[0].file, hints.check_names(names))]:
        if mistake:
            raise DatasetDataError(
                f"{file}: {mistake}, or list all names under 'classes' in the catalog's entry",
                path=file,
            )
    return LabelSpace(tuple(names))


def _parse_list(cell: Any) -> Any:
    """Return the list that a cell contains as text in brackets; any other cell as it is."""
    if not (isinstance(cell, str) and cell.startswith("[") and cell.endswith("]")):
        return cell
    # The file may come from anywhere: literal_eval runs no code.
    try:
        found = ast.literal_eval(cell)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return cell  # names in brackets, which `hints.check_names` refuses unless they are listed
    kinds = {type(item) for item in found} if isinstance(found, list) else {None}
    return found if kinds in (set(), {str}, {int}) else cell


def _text(value: object) -> str:
    """Return the text of a cell, empty where the cell is missing."""
    # NaN is the one value that differs from itself.
    return "" if value is None or value != value else str(value).strip()  # noqa: PLR0124

"""Labels of images that a user knows already: from Python, or from a table of images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlic.caching.fingerprint import fingerprint_file
from mlic.errors import DataError, LabelError, ParameterError
from mlic.labels import UNKNOWN, LabelSpace
from mlic.labels.matrix import require_states
from mlic.models.options import HEADS
from mlic.training.checkpoint import Checkpoint
from mlic.utils.plugins import find_plugin
from mlic.utils.reading import explain_content

__all__ = ["Known", "KnownTable", "known_states", "read_known", "require_use"]

Known: TypeAlias = Mapping[str, bool] | NDArray[np.integer]
COLUMNS = ("image", "present", "absent")


def known_states(
    checkpoint: Checkpoint, known: Known | None, num_images: int
) -> NDArray[np.int8] | None:
    """Bring known labels into the shape that a model takes; (n, C), int8.

    Raises
    ------
    ParameterError
        If the model has no use for known labels: neither its head nor a refiner.
    LabelError
        If a label is none of the model's, or states have another shape or other values.
    """
    if known is None:
        return None
    require_use(checkpoint)
    shape = (num_images, len(checkpoint.info.labels))
    if isinstance(known, Mapping):
        states = np.full(shape, UNKNOWN, np.int8)
        states[:, checkpoint.space.indices(known)] = list(known.values())
        return states
    given = np.asarray(known)
    require_states(given)
    if given.shape != shape:
        raise LabelError(
            f"known states of shape {given.shape} do not fit {shape[0]} images and {shape[1]} "
            "labels: give one state for each",
            found=given.shape,
            expected=shape,
        )
    return given.astype(np.int8)


def require_use(checkpoint: Checkpoint) -> None:
    """Refuse known labels, with a `ParameterError`, for a model that has no use for them."""
    head, refiner = checkpoint.info.model.head, checkpoint.calibration.refiner
    if refiner is None and not find_plugin(HEADS, head).uses_known:
        raise ParameterError(
            f"known: the head '{head}' cannot use labels that are known already, and the model has "
            "no refiner: run the pipeline calibration, or train a model with the head c_tran",
            parameter="known",
            value=head,
        )


@dataclass(frozen=True)
class KnownTable:
    """Known labels of some images.

    Parameters
    ----------
    path
        The file, for messages.
    states
        By the image as the table names it: present labels and absent labels.
    fingerprint
        Of the file's content.
    """

    path: Path
    states: Mapping[str, tuple[Sequence[str], Sequence[str]]]
    fingerprint: str

    def require_fit(self, names: Iterable[str], space: LabelSpace) -> None:
        """Check that every row names one of the images, and labels of the model.

        Raises
        ------
        DataError
            If a row fits no image, or several.
        LabelError
            If a label is none of the model's.
        """
        for present, absent in self.states.values():
            space.indices([*present, *absent])
        found = Counter(key for name in names if (key := self._find(name)) is not None)
        for image in self.states:
            if found[image] != 1:
                raise DataError(
                    f"{self.path}: '{image}' fits {found[image] or 'none'} of the images: name "
                    "each by its path, or by the end of it that no other image has",
                    path=self.path,
                    image=image,
                )

    def rows(self, names: Sequence[str], space: LabelSpace) -> NDArray[np.int8] | None:
        """Known states of some images, −1 elsewhere; (n, C), int8. None if all are unknown."""
        states = np.full((len(names), len(space)), UNKNOWN, np.int8)
        for row, name in enumerate(names):
            if (key := self._find(name)) is not None:
                present, absent = self.states[key]
                states[row, space.indices(present)] = 1
                states[row, space.indices(absent)] = 0
        return states if (states != UNKNOWN).any() else None

    def _find(self, name: str) -> str | None:
        """Row of an image: that of its whole name, else that of the longest end of its path."""
        return next((end for end in _ends(name) if end in self.states), None)


def _ends(name: str) -> Iterator[str]:
    yield name
    parts = PurePath(name).parts
    for start in range(1, len(parts)):
        yield "/".join(parts[start:])


def read_known(path: str | Path) -> KnownTable:
    """Read a CSV table of known labels.

    It has the columns ``image`` (a path, or the end of one), ``present`` and ``absent``: labels,
    separated by semicolons. One of the two may be missing.

    Raises
    ------
    DataError
        If the file does not exist, lacks a column, or names an image twice.
    LabelError
        If a label of an image is both present and absent.
    """
    import pandas as pd

    place = Path(path)
    if not place.is_file():
        raise DataError(f"{place} does not exist: give known=… a CSV file", path=place)
    with explain_content(place, "give a CSV file in UTF-8"):
        table = pd.read_csv(place, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    unknown = sorted(set(table.columns) - set(COLUMNS))
    if "image" not in table or unknown:
        raise DataError(
            f"{place} has the columns {', '.join(table.columns)}: name them image, present, absent",
            path=place,
            found=list(table.columns),
        )
    states: dict[str, tuple[Sequence[str], Sequence[str]]] = {}
    for row in table.to_dict("records"):
        image = row["image"].strip()
        if image in states:
            raise DataError(
                f"{place}: '{image}' has two rows; put its labels into one", path=place, image=image
            )
        present, absent = (_split(row.get(name, "")) for name in COLUMNS[1:])
        if both := sorted(set(present) & set(absent)):
            raise LabelError(
                f"{place}: '{both[0]}' of '{image}' is both present and absent; remove one",
                path=place,
                label=both[0],
                image=image,
            )
        states[image] = present, absent
    return KnownTable(place, states, str(fingerprint_file(place)))


def _split(cell: str) -> list[str]:
    return [name for part in cell.split(";") if (name := part.strip())]

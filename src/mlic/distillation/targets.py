"""Logits that teachers give the student: one for every label, view and training image.

They lie in memory-mapped arrays, so that no teacher, no joining of teachers and no student ever
has all of them in memory. `mlic.distillation.storage` has the formats in which they are stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mlic.caching.blocks import read_rows
from mlic.caching.fingerprint import fingerprint_tree
from mlic.caching.memmap import MemmapObject
from mlic.distillation.storage import decode_logits
from mlic.distillation.teacher_id import strategy_of
from mlic.labels import LabelSpace

__all__ = ["SoftTargets", "TeacherLogits"]


@dataclass(frozen=True)
class TeacherLogits(MemmapObject):
    """Logits of one teacher for every view of every training image.

    Parameters
    ----------
    teacher
        Name, ``teachers.<strategy>_<part>`` or ``baseline``.
    space
        Labels of the columns: those of the teacher's part.
    ids
        Image ids; shape (n,).
    values
        Logits as they are stored; of shape (views, n, len(space)) before.
    views
        Everything that decides the views: augmentation options and seed.
    fingerprint
        Fingerprint of the teacher's weights.
    partition
        Fingerprint of the partition that gave the teacher its labels; None if it learnt all labels.
    format
        Name of the format, see `mlic.distillation.storage`.
    folder
        Folder in which the logits lie; None where they are in memory only.
    """

    kind: ClassVar[str] = "logits"

    teacher: str
    space: LabelSpace
    ids: NDArray[np.str_]
    values: NDArray[Any]
    views: dict[str, Any]
    fingerprint: str
    partition: str | None = None
    format: str = "float32"
    folder: Path | None = None

    @property
    def strategy(self) -> str:
        """Partition strategy of the teacher."""
        return strategy_of(self.teacher)

    @property
    def array(self) -> NDArray[Any]:
        """Logits as they lie on disk."""
        return self.values

    def read(self, view: int, images: slice) -> NDArray[np.floating[Any]]:
        """Logits of one view of some consecutive images; shape (m, len(space))."""
        return decode_logits(read_rows(self.values[view, images]), len(self.space))

    def describe(self) -> dict[str, Any]:
        """Everything but the logits, as a JSON-able tree."""
        return {
            "teacher": self.teacher,
            "labels": list(self.space.names),
            "ids": self.ids.tolist(),
            "views": self.views,
            "fingerprint": self.fingerprint,
            "format": self.format,
            "partition": self.partition,
        }

    @classmethod
    def from_array(
        cls, array: NDArray[Any], description: Mapping[str, Any], folder: Path | None = None
    ) -> Self:
        """Build the object from its logits and what `describe` gave."""
        return cls(
            teacher=description["teacher"],
            space=LabelSpace(tuple(description["labels"])),
            ids=np.asarray(description["ids"], dtype=np.str_),
            values=array,
            views=description["views"],
            fingerprint=description["fingerprint"],
            format=description["format"],
            partition=description["partition"],
            folder=folder,
        )


@dataclass(frozen=True)
class SoftTargets(MemmapObject):
    """Logits of all teachers over the whole label space, one array for each strategy.

    Parameters
    ----------
    space
        Labels of the columns.
    ids
        Image ids; shape (n,).
    values
        Logits by strategy as they are stored; each of shape (views, n, len(space)) before. See
        `mlic.distillation.joining` and `mlic.distillation.storage`.
    views
        Everything that decides the views: augmentation options and seed.
    teachers
        Fingerprints of the teachers' weights, by name.
    partitions
        Fingerprints of the partitions, by strategy, of those strategies that have one.
    folder
        Folder in which the targets lie; None where they are in memory only.
    """

    kind: ClassVar[str] = "soft_targets"

    space: LabelSpace
    ids: NDArray[np.str_]
    values: dict[str, NDArray[Any]]
    views: dict[str, Any]
    teachers: dict[str, str]
    partitions: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def strategies(self) -> list[str]:
        """Names of the strategies, sorted."""
        return sorted(self.values)

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of labels, images, views, partitions, teachers and format."""
        # The teachers' weights decide the logits, so gigabytes of these need not be read.
        dtypes = {name: str(values.dtype) for name, values in self.values.items()}
        decisive = [self.space.names, self.ids.tolist(), self.views, self.teachers, self.partitions]
        return fingerprint_tree([*decisive, dtypes])

    def read(self, view: int, rows: NDArray[np.intp]) -> dict[str, NDArray[np.floating[Any]]]:
        """Logits of one view of some images by strategy; shape (B, len(space)) each."""
        # One view lies together on disk, so that the rows of a batch come from few pages.
        found = {name: read_rows(values[view], rows) for name, values in self.values.items()}
        return {name: decode_logits(values, len(self.space)) for name, values in found.items()}

    def read_view(self, strategy: str, view: int) -> NDArray[np.floating[Any]]:
        """Logits of one strategy for one view of all images; shape (n, len(space))."""
        return decode_logits(read_rows(self.values[strategy][view]), len(self.space))

    @property
    def array(self) -> NDArray[Any]:
        """Logits as they lie on disk; the first axis are the strategies."""
        return np.stack(list(self.values.values()))

    def describe(self) -> dict[str, Any]:
        """Everything but the logits, as a JSON-able tree."""
        return {
            "strategies": list(self.values),
            "labels": list(self.space.names),
            "ids": self.ids.tolist(),
            "views": self.views,
            "teachers": self.teachers,
            "partitions": self.partitions,
        }

    @classmethod
    def from_array(
        cls, array: NDArray[Any], description: Mapping[str, Any], folder: Path | None = None
    ) -> Self:
        """Build the object from its stacked logits and what `describe` gave."""
        return cls(
            space=LabelSpace(tuple(description["labels"])),
            ids=np.asarray(description["ids"], dtype=np.str_),
            values=dict(zip(description["strategies"], array, strict=True)),  # views, no copies
            views=description["views"],
            teachers=description["teachers"],
            partitions=description["partitions"],
            folder=folder,
        )

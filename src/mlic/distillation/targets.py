"""What teachers hand to the student: logits of every view of every training image.

They lie in memory-mapped files, so that neither a teacher, nor what joins several, nor the student
ever holds all of them. Stored as float16 a logit z is off by at most |z| / 2048, which moves a
probability by at most 1.1e-4.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mlic.caching.memmap import create_mapped, open_mapped, place_file
from mlic.distillation.teacher_id import strategy_of
from mlic.errors import CheckpointError
from mlic.labels import LabelSpace

__all__ = ["SoftTargets", "TeacherLogits"]

Tensors = tuple[dict[str, NDArray[Any]], dict[str, str]]


class _Mapped:
    """What can be saved to, and opened from, a memory-mapped file."""

    path: Path | None

    def to_tensors(self) -> Tensors:
        """Arrays and metadata as a safetensors file holds them."""
        raise NotImplementedError

    @classmethod
    def from_tensors(
        cls, tensors: dict[str, NDArray[Any]], metadata: Mapping[str, str], path: Path | None = None
    ) -> Self:
        """Read back what `to_tensors` wrote."""
        raise NotImplementedError

    @classmethod
    def open(cls, path: Path) -> Self:
        """Map a file's arrays to memory; nothing but its description is read.

        Raises
        ------
        CheckpointError
            If the file is damaged or of another kind.
        """
        try:
            return cls.from_tensors(*open_mapped(path), path)
        except (KeyError, json.JSONDecodeError) as error:
            raise CheckpointError(
                f"{path} holds no {cls.__name__} of this version of mlic ({error} is missing): "
                "delete it and run the node that makes it again"
            ) from error

    def save(self, path: Path) -> None:
        """Write to a file; one that lies in a file already gets a second name instead."""
        if self.path is not None:
            place_file(self.path, path)
            return
        tensors, metadata = self.to_tensors()
        with create_mapped(path, tensors, metadata) as arrays:
            for name, values in tensors.items():
                arrays[name][...] = values


@dataclass(frozen=True)
class TeacherLogits(_Mapped):
    """Logits of one teacher.

    Parameters
    ----------
    teacher
        Name, ``teachers.<strategy>_<part>``, or ``baseline``.
    space
        The labels of the columns: those of the teacher's part.
    ids
        Image ids; shape (n,).
    values
        Shape (views, n, len(space)), float32 or float16.
    views
        What decides the views: augmentation and seed.
    fingerprint
        Of the teacher's weights.
    partition
        Fingerprint of the partition that gave the teacher its labels; nothing of one of all labels.
    path
        The file that the values lie in, if any.
    """

    teacher: str
    space: LabelSpace
    ids: NDArray[np.str_]
    values: NDArray[np.floating[Any]]
    views: dict[str, Any]
    fingerprint: str
    partition: str | None = None
    path: Path | None = None

    @property
    def strategy(self) -> str:
        """Strategy of the teacher."""
        return strategy_of(self.teacher)

    def to_tensors(self) -> Tensors:
        """Arrays and metadata as a safetensors file holds them."""
        about = {
            "teacher": self.teacher,
            "labels": list(self.space.names),
            "ids": self.ids.tolist(),
            "views": self.views,
            "fingerprint": self.fingerprint,
            "partition": self.partition,
        }
        return {"logits": self.values}, {"about": json.dumps(about)}

    @classmethod
    def from_tensors(
        cls, tensors: dict[str, NDArray[Any]], metadata: Mapping[str, str], path: Path | None = None
    ) -> Self:
        """Read back what `to_tensors` wrote."""
        about = json.loads(metadata["about"])
        return cls(
            teacher=about["teacher"],
            space=LabelSpace(tuple(about["labels"])),
            ids=np.asarray(about["ids"], dtype=np.str_),
            values=tensors["logits"],
            views=about["views"],
            fingerprint=about["fingerprint"],
            partition=about["partition"],
            path=path,
        )


@dataclass(frozen=True)
class SoftTargets(_Mapped):
    """Logits of all teachers over the whole label space, one array a strategy.

    Parameters
    ----------
    space
        The labels of the columns.
    ids
        Image ids; shape (n,).
    values
        By strategy, shape (views, n, len(space)), float32 or float16; see
        `mlic.distillation.joining`.
    views
        What decides the views: augmentation and seed.
    teachers
        Fingerprint of each teacher's weights, by name.
    partitions
        Fingerprint of each strategy's partition, if it has one.
    path
        The file that the values lie in, if any.
    """

    space: LabelSpace
    ids: NDArray[np.str_]
    values: dict[str, NDArray[np.floating[Any]]]
    views: dict[str, Any]
    teachers: dict[str, str]
    partitions: dict[str, str] = field(default_factory=dict)
    path: Path | None = None

    @property
    def strategies(self) -> list[str]:
        """Names of the strategies, sorted."""
        return sorted(self.values)

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits over labels, images, partitions, teachers and precision."""
        dtypes = {name: str(values.dtype) for name, values in self.values.items()}
        about = [self.space.names, self.ids.tolist(), self.views, self.teachers, self.partitions]
        about.append(dtypes)
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]

    def read(self, view: int, rows: NDArray[np.intp]) -> dict[str, NDArray[np.floating[Any]]]:
        """Logits of one view of some images by strategy; shape (B, len(space)) each."""
        return {name: np.asarray(values[view])[rows] for name, values in self.values.items()}

    def to_tensors(self) -> Tensors:
        """Arrays and metadata as a safetensors file holds them."""
        about = {
            "labels": list(self.space.names),
            "ids": self.ids.tolist(),
            "views": self.views,
            "teachers": self.teachers,
            "partitions": self.partitions,
        }
        return dict(self.values), {"about": json.dumps(about)}

    @classmethod
    def from_tensors(
        cls, tensors: dict[str, NDArray[Any]], metadata: Mapping[str, str], path: Path | None = None
    ) -> Self:
        """Read back what `to_tensors` wrote."""
        about = json.loads(metadata["about"])
        space = LabelSpace(tuple(about["labels"]))
        ids = np.asarray(about["ids"], dtype=np.str_)
        teachers, partitions = about["teachers"], about["partitions"]
        return cls(space, ids, dict(tensors), about["views"], teachers, partitions, path)

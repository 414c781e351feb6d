"""What teachers hand to the student: logits of every view of every training picture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mlic.errors import CheckpointError, PartitionError
from mlic.labels import LabelSpace
from mlic.labels.options import PLAIN

__all__ = ["SoftTargets", "TeacherLogits", "assemble_targets"]


@dataclass(frozen=True)
class TeacherLogits:
    """Logits of one teacher.

    Parameters
    ----------
    teacher
        Name, ``teachers.<strategy>_<part>``.
    space
        The labels of the columns: those of the teacher's part.
    ids
        Picture ids; shape (n,).
    values
        Shape (views, n, len(space)), float32.
    views
        What decides the views: augmentation and seed.
    fingerprint
        Of the teacher's weights.
    """

    teacher: str
    space: LabelSpace
    ids: NDArray[np.str_]
    values: NDArray[np.float32]
    views: dict[str, Any]
    fingerprint: str

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        """Arrays and metadata as a safetensors file holds them."""
        about = {
            "teacher": self.teacher,
            "labels": list(self.space.names),
            "ids": self.ids.tolist(),
            "views": self.views,
            "fingerprint": self.fingerprint,
        }
        return {"logits": self.values}, {"about": json.dumps(about)}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], metadata: Mapping[str, str]) -> Self:
        """Read back what `to_tensors` wrote."""
        about = json.loads(metadata["about"])
        return cls(
            teacher=about["teacher"],
            space=LabelSpace(tuple(about["labels"])),
            ids=np.asarray(about["ids"], dtype=np.str_),
            values=tensors["logits"],
            views=about["views"],
            fingerprint=about["fingerprint"],
        )


@dataclass(frozen=True)
class SoftTargets:
    """Logits of all teachers over the whole label space, one array a strategy.

    Parameters
    ----------
    space
        The labels of the columns.
    ids
        Picture ids; shape (n,).
    values
        By strategy, shape (views, n, len(space)), float32; see `assemble_targets`.
    views
        What decides the views: augmentation and seed.
    teachers
        Fingerprint of each teacher's weights, by name.
    """

    space: LabelSpace
    ids: NDArray[np.str_]
    values: dict[str, NDArray[np.float32]]
    views: dict[str, Any]
    teachers: dict[str, str]

    @property
    def strategies(self) -> list[str]:
        """Names of the strategies, sorted."""
        return sorted(self.values)

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits over labels, pictures and teachers."""
        about = [self.space.names, self.ids.tolist(), self.views, self.teachers]
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        """Arrays and metadata as a safetensors file holds them."""
        about = {
            "labels": list(self.space.names),
            "ids": self.ids.tolist(),
            "views": self.views,
            "teachers": self.teachers,
        }
        return dict(self.values), {"about": json.dumps(about)}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], metadata: Mapping[str, str]) -> Self:
        """Read back what `to_tensors` wrote."""
        about = json.loads(metadata["about"])
        space = LabelSpace(tuple(about["labels"]))
        ids = np.asarray(about["ids"], dtype=np.str_)
        return cls(space, ids, dict(tensors), about["views"], about["teachers"])


def assemble_targets(
    space: LabelSpace, logits: Mapping[str, Sequence[TeacherLogits]]
) -> SoftTargets:
    """Put the columns of all teachers of a strategy in the order of the label space.

    Columns are joined by label name, never by the order of files or teachers. The teachers of a
    partition share the labels out among them. Plain teachers know every label each, and the target
    is the mean of their logits: the geometric mean of their odds, and of several squared distances
    to them the one with the same gradient.

    Parameters
    ----------
    space
        All labels.
    logits
        By strategy, the logits of its teachers, in any order.

    Raises
    ------
    PartitionError
        If the teachers of a strategy, or one plain teacher, do not cover every label exactly once.
    CheckpointError
        If teachers wrote their logits for different pictures or views.
    """
    everyone = [member for members in logits.values() for member in members]
    if not everyone:
        raise PartitionError("there is no teacher to learn from: name at least one strategy")
    first = everyone[0]
    for member in everyone:
        if not np.array_equal(first.ids, member.ids) or first.views != member.views:
            raise CheckpointError(
                f"'{member.teacher}' wrote logits for other pictures or views than "
                f"'{first.teacher}': run the teacher_training pipeline again"
            )
    values = {
        strategy: (_average if strategy == PLAIN else _assemble)(space, strategy, members)
        for strategy, members in logits.items()
    }
    teachers = {member.teacher: member.fingerprint for member in everyone}
    return SoftTargets(space, first.ids, values, first.views, teachers)


def _average(
    space: LabelSpace, strategy: str, members: Sequence[TeacherLogits]
) -> NDArray[np.float32]:
    """Mean over teachers, summed in the order of their names so that no other order matters."""
    ordered = sorted(members, key=lambda member: member.teacher)
    total = _assemble(space, strategy, ordered[:1])
    for member in ordered[1:]:
        total += _assemble(space, strategy, [member])
    return total / np.float32(len(ordered))


def _assemble(
    space: LabelSpace, strategy: str, members: Sequence[TeacherLogits]
) -> NDArray[np.float32]:
    columns = [space.index(name) for member in members for name in member.space.names]
    seen, times = np.unique(columns, return_counts=True)
    if len(seen) != len(space) or (times > 1).any():
        lost = set(range(len(space))) - set(seen.tolist())
        wrong = space.names[min(lost) if lost else int(seen[times > 1][0])]
        raise PartitionError(
            f"label '{wrong}' has {'no teacher' if lost else 'several teachers'} among those of "
            f"'{strategy}': the teachers are not those of one run, train them again"
        )
    joined = np.empty((*members[0].values.shape[:2], len(space)), dtype=np.float32)
    joined[:, :, columns] = np.concatenate([member.values for member in members], axis=2)
    return joined

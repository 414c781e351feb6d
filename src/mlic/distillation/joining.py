"""The logits of all teachers, joined by label name into the targets of the student."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlic.distillation.targets import SoftTargets, TeacherLogits
from mlic.errors import CheckpointError, PartitionError
from mlic.labels.options import FULL_LABEL

if TYPE_CHECKING:
    from mlic.caching.store import CheckpointStore
    from mlic.labels import LabelSpace

__all__ = ["assemble_targets", "join_targets", "round_logits"]


def round_logits(values: NDArray[np.floating[Any]], dtype: Any) -> NDArray[np.floating[Any]]:
    """Store logits in a precision.

    Raises
    ------
    CheckpointError
        If they do not fit it.
    """
    with np.errstate(over="ignore"):
        rounded: NDArray[np.floating[Any]] = values.astype(dtype)
    if not np.isfinite(rounded).all():
        raise CheckpointError(
            f"a teacher's logits reach {np.abs(values).max():.3g}, which {np.dtype(dtype)} cannot "
            "hold: the teacher has diverged, or set teachers.targets=float32"
        )
    return rounded


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
        If the teachers of a strategy, or one plain teacher, do not cover every label exactly once,
        or are not those of one partition.
    CheckpointError
        If teachers wrote their logits for different images or views.
    """
    blank = _describe(space, logits)
    values = {name: np.empty_like(array) for name, array in blank.values.items()}
    _fill(values, space, logits)
    return replace(blank, values=values)


def join_targets(
    space: LabelSpace, logits: Mapping[str, Sequence[TeacherLogits]], store: CheckpointStore
) -> SoftTargets:
    """As `assemble_targets`, into the store's file and view by view, unless it is up to date."""
    blank = _describe(space, logits)
    components = {"targets": blank.fingerprint}
    if store.find("soft_targets", components) is None:
        with store.fill("soft_targets", components, *blank.to_tensors()) as arrays:
            _fill(arrays, space, logits)
    return SoftTargets.open(store.path("soft_targets"))


def _describe(space: LabelSpace, logits: Mapping[str, Sequence[TeacherLogits]]) -> SoftTargets:
    """Check the teachers and say what their targets will be; the values take no memory yet."""
    everyone = [member for members in logits.values() for member in members]
    if not everyone:
        raise PartitionError("there is no teacher to learn from: name at least one strategy")
    first = everyone[0]
    for member in everyone:
        if not np.array_equal(first.ids, member.ids) or first.views != member.views:
            raise CheckpointError(
                f"'{member.teacher}' wrote logits for other images or views than "
                f"'{first.teacher}': run the teacher_training pipeline again"
            )
    values = {}
    for strategy, members in logits.items():
        for team in [[one] for one in members] if strategy == FULL_LABEL else [members]:
            _refuse_no_cover(space, strategy, team)
        zero = np.zeros((), dtype=np.result_type(*(one.values.dtype for one in members)))
        values[strategy] = np.broadcast_to(zero, (*first.values.shape[:2], len(space)))
    teachers = {member.teacher: member.fingerprint for member in everyone}
    partitions = {name: _partition_of(name, members) for name, members in logits.items()}
    known = {name: partition for name, partition in partitions.items() if partition is not None}
    return SoftTargets(space, first.ids, values, first.views, teachers, known)


def _partition_of(strategy: str, members: Sequence[TeacherLogits]) -> str | None:
    partition = members[0].partition
    for member in members:
        if member.partition != partition:
            raise PartitionError(
                f"'{member.teacher}' and '{members[0].teacher}' are of two partitions of "
                f"'{strategy}': run the teacher_training pipeline again"
            )
    return partition


def _refuse_no_cover(space: LabelSpace, strategy: str, members: Sequence[TeacherLogits]) -> None:
    columns = _columns(space, members)
    seen, times = np.unique(columns, return_counts=True)
    if len(seen) != len(space) or (times > 1).any():
        lost = set(range(len(space))) - set(seen.tolist())
        wrong = space.names[min(lost) if lost else int(seen[times > 1][0])]
        raise PartitionError(
            f"label '{wrong}' has {'no teacher' if lost else 'several teachers'} among those of "
            f"'{strategy}': the teachers are not those of one run, train them again"
        )


def _columns(space: LabelSpace, members: Sequence[TeacherLogits]) -> list[int]:
    return [space.index(name) for member in members for name in member.space.names]


def _fill(
    values: Mapping[str, NDArray[np.floating[Any]]],
    space: LabelSpace,
    logits: Mapping[str, Sequence[TeacherLogits]],
) -> None:
    """Join view by view; teachers are taken by name, so that their order changes no bit."""
    for strategy, members in logits.items():
        ordered = sorted(members, key=lambda member: member.teacher)
        for view, joined in enumerate(values[strategy]):
            if strategy != FULL_LABEL:
                joined[:, _columns(space, ordered)] = np.concatenate(
                    [member.values[view] for member in ordered], axis=1
                )
                continue
            total = np.zeros(joined.shape, dtype=np.float32)
            for member in ordered:
                total[:, _columns(space, [member])] += member.values[view]
            joined[...] = round_logits(total / np.float32(len(ordered)), joined.dtype)

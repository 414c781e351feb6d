"""The logits of all teachers, joined by label name into the soft targets of the student."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlic.caching.store import ArtifactStore
from mlic.distillation.storage import encode_logits, stored_as
from mlic.distillation.targets import SoftTargets, TeacherLogits
from mlic.errors import CheckpointError, PartitionError
from mlic.labels import LabelSpace
from mlic.labels.options import FULL_LABEL

__all__ = ["BLOCK_IMAGES", "assemble_targets", "join_targets"]

BLOCK_IMAGES = 2**14  # whose logits are in memory at a time

_Parts = list[tuple[list[int], NDArray[np.floating[Any]]]]  # columns and logits of each teacher


def assemble_targets(
    space: LabelSpace, logits: Mapping[str, Sequence[TeacherLogits]]
) -> SoftTargets:
    """Put the columns of all teachers of a strategy in the order of the label space.

    Columns are joined by label name, never by the order of files or teachers. The teachers of a
    partition have disjoint labels. Full-label teachers each know every label, and the target is
    the mean of their logits: it is the geometric mean of their odds, and its squared distance to
    the student's logits has the same gradient as the mean of the distances to all of them.

    The logits are given by strategy, in any order; the targets are in memory. Teachers that do not
    cover every label exactly once or belong to different partitions are a `PartitionError`; logits
    for different images or views, or in different formats, are a `CheckpointError`.
    """
    targets = _describe(space, logits)
    values = {name: np.empty_like(array) for name, array in targets.values.items()}
    _fill(values, space, logits)
    return replace(targets, values=values)


def join_targets(
    space: LabelSpace, logits: Mapping[str, Sequence[TeacherLogits]], store: ArtifactStore
) -> SoftTargets:
    """Do the same as `assemble_targets` on disk, in blocks, unless the store is up to date.

    The targets are memory-mapped; the errors are the same.
    """
    targets = _describe(space, logits)
    kind, components = SoftTargets.kind, {"targets": targets.fingerprint}
    if store.find(kind, components) is None:
        first = next(iter(targets.values.values()))
        # One file holds all strategies.
        shape, dtype = (len(targets.values), *first.shape), first.dtype
        with store.fill(kind, components, shape, dtype, targets.describe()) as stacked:
            _fill(dict(zip(targets.values, stacked, strict=True)), space, logits)
    return SoftTargets.open(store.folder)


def _describe(space: LabelSpace, logits: Mapping[str, Sequence[TeacherLogits]]) -> SoftTargets:
    """Check the teachers and describe their targets; the values do not take memory yet."""
    # Nothing is joined yet: the fingerprint, by which the store is searched, needs no values.
    teachers = [member for members in logits.values() for member in members]
    if not teachers:
        raise PartitionError(
            "there is no teacher to learn from: name at least one strategy in partition.strategies"
        )
    _require_same_images(teachers)
    first = teachers[0]
    shape, dtype = stored_as(first.format, (len(first.values), len(first.ids), len(space)))
    # A broadcast zero has the shape and the type of the targets but only one value in memory.
    empty = np.broadcast_to(np.zeros((), dtype=dtype), shape)
    for strategy, members in logits.items():
        # every full-label teacher covers the labels alone, those of a partition only together
        for team in [[one] for one in members] if strategy == FULL_LABEL else [members]:
            _require_cover(space, strategy, team)
    values = dict.fromkeys(logits, empty)
    fingerprints = {member.teacher: member.fingerprint for member in teachers}
    found = ((name, _partition_of(name, members)) for name, members in logits.items())
    partitions = {name: partition for name, partition in found if partition is not None}
    return SoftTargets(space, first.ids, values, first.views, fingerprints, partitions)


def _require_same_images(teachers: Sequence[TeacherLogits]) -> None:
    first = teachers[0]
    for member in teachers:
        if not np.array_equal(first.ids, member.ids) or first.views != member.views:
            raise CheckpointError(
                f"'{member.teacher}' wrote logits for other images or views than "
                f"'{first.teacher}': run the baseline_training and teacher_training pipelines "
                "again",
                name=member.teacher,
            )
        if first.format != member.format:
            raise CheckpointError(
                f"'{member.teacher}' stored its logits as {member.format}, but "
                f"'{first.teacher}' as {first.format}: run the baseline_training and "
                "teacher_training pipelines again",
                name=member.teacher,
            )


def _partition_of(strategy: str, members: Sequence[TeacherLogits]) -> str | None:
    partition = members[0].partition
    for member in members:
        if member.partition != partition:
            raise PartitionError(
                f"'{member.teacher}' and '{members[0].teacher}' belong to two partitions of "
                f"'{strategy}': run the teacher_training pipeline again",
                name=member.teacher,
            )
    return partition


def _require_cover(space: LabelSpace, strategy: str, members: Sequence[TeacherLogits]) -> None:
    """Refuse teachers that do not know every label exactly once."""
    columns = _columns(space, members)
    seen, times = np.unique(columns, return_counts=True)
    if len(seen) != len(space) or (times > 1).any():
        missing = set(range(len(space))) - set(seen.tolist())
        # of both kinds of mistake, a label without a teacher is named first
        wrong = space.names[min(missing) if missing else int(seen[times > 1][0])]
        raise PartitionError(
            f"label '{wrong}' has {'no teacher' if missing else 'several teachers'} among those of "
            f"'{strategy}': the teachers do not belong to one run, train them again",
            label=wrong,
            name=strategy,
        )


def _columns(space: LabelSpace, members: Sequence[TeacherLogits]) -> list[int]:
    return [space.index(name) for member in members for name in member.space.names]


def _fill(
    values: Mapping[str, NDArray[Any]],
    space: LabelSpace,
    logits: Mapping[str, Sequence[TeacherLogits]],
) -> None:
    """Write the targets into arrays, some images at a time."""
    for strategy, members in logits.items():
        # Sums of floats depend on their order, so teachers are always taken in order of names.
        ordered = sorted(members, key=lambda member: member.teacher)
        join = _average if strategy == FULL_LABEL else _concatenate
        for view, joined in enumerate(values[strategy]):
            for start in range(0, len(joined), BLOCK_IMAGES):
                images = slice(start, start + BLOCK_IMAGES)
                parts = [(_columns(space, [one]), one.read(view, images)) for one in ordered]
                joined[images] = encode_logits(join(parts), joined.dtype)


def _concatenate(parts: _Parts) -> NDArray[np.floating[Any]]:
    """Put disjoint columns together."""
    found = np.concatenate([part for _, part in parts], axis=1)
    joined = np.empty_like(found)
    joined[:, [column for columns, _ in parts for column in columns]] = found
    return joined


def _average(parts: _Parts) -> NDArray[np.floating[Any]]:
    """Mean over teachers that know all labels."""
    # float16 would lose digits in the sum
    total = np.zeros(parts[0][1].shape, dtype=np.float32)
    for columns, part in parts:
        total[:, columns] += part
    return total / np.float32(len(parts))

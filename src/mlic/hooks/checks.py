"""Checks before a run: whether the stored data fit the pipeline and each other."""

from typing import TYPE_CHECKING, Any

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from mlic.errors import CheckpointError, PartitionError

if TYPE_CHECKING:
    from mlic.training.options import TrainingOptions

Catalog = CatalogProtocol[str, Any]

__all__ = ["check_devices", "check_partitions", "check_targets"]


def check_devices(training: "TrainingOptions") -> None:
    """Check that there are as many devices as the trainings of any role ask for.

    Too few are a `ParameterError`.
    """
    from mlic.training.options import ROLES

    most = max((training.for_role(role) for role in ROLES), key=lambda options: options.devices)
    if most.devices > 1:  # only then is torch loaded, which takes a second
        from mlic.training.launch import require_devices

        require_devices(most)


def check_partitions(pipeline: Pipeline, num_parts: int, catalog: Catalog) -> None:
    """Check that stored partitions, groups, logits and targets fit the teachers of a pipeline.

    Raises
    ------
    PartitionError
        If a partition or the user's groups have another number of parts.
    CheckpointError
        If groups, logits or soft targets were made from another partition.
    """
    inputs = pipeline.inputs()
    # Sorted, so that the same mistake is always reported first.
    for name in sorted(name for name in inputs if name.startswith("partition_")):
        if (partition := _load(catalog, name)) is not None:
            partition.require_parts(num_parts)
    if "user_groups" in inputs and (entry := catalog.get("user_groups")) is not None:
        _check_user_groups(len(entry.load()), num_parts)
    _check_groups(pipeline, num_parts, catalog)
    check_targets(pipeline, catalog)


def check_targets(pipeline: Pipeline, catalog: Catalog) -> None:
    """Check that stored logits and targets belong to the stored partitions and teachers.

    Raises
    ------
    CheckpointError
        If a partition or a teacher has changed since.
    """
    # Free inputs only: what the pipeline makes itself cannot be out of date.
    inputs = pipeline.inputs()
    for name in sorted(name for name in inputs if name.endswith(".logits")):
        if (logits := _load(catalog, name)) is not None:
            _check_partition(logits.teacher, {logits.strategy: logits.partition}, catalog)
    targets = _load(catalog, "soft_targets") if "soft_targets" in inputs else None
    if targets is None:
        return
    _check_partition("soft_targets", targets.partitions, catalog)
    for teacher, fingerprint in targets.teachers.items():
        logits = _load(catalog, f"{teacher}.logits")
        if logits is not None and logits.fingerprint != fingerprint:
            raise CheckpointError(
                f"soft_targets were made from another {teacher} than the stored one: run the "
                "distillation pipeline as a whole",
                name=teacher,
            )


def _check_groups(pipeline: Pipeline, num_parts: int, catalog: Catalog) -> None:
    """Check that the teachers' groups belong to the stored partitions."""
    for name in sorted(name for name in pipeline.inputs() if name.endswith(".group")):
        group = _load(catalog, name) or {}
        if "partition" in group:
            _check_partition(name, {group["strategy"]: group["partition"]}, catalog)
            partition = _load(catalog, f"partition_{group['strategy']}")
            if partition is not None:
                partition.require_parts(num_parts)


def _check_partition(what: str, partitions: dict[str, str | None], catalog: Catalog) -> None:
    for strategy, fingerprint in partitions.items():
        # Full-label teachers have no partition.
        partition = _load(catalog, f"partition_{strategy}") if fingerprint else None
        if partition is not None and partition.fingerprint != fingerprint:
            raise CheckpointError(
                f"{what} was made from another partition_{strategy} than the stored one: run the "
                "teacher_training pipeline again",
                name=what,
                strategy=strategy,
            )


def _check_user_groups(found: int, num_parts: int) -> None:
    if found != num_parts:
        raise PartitionError(
            f"user_groups has {found} groups, but there are {num_parts} teachers: write "
            f"{num_parts} groups, or set partition.num_parts to {found}",
            found=found,
            expected=num_parts,
        )


def _load(catalog: Catalog, name: str) -> Any:
    """Load a stored entry; None if there is none. Of memory-mapped arrays only a header is read."""
    entry = catalog.get(name)
    return entry.load() if entry is not None and entry.exists() else None

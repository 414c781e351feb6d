"""A look, before a run, at whether what lies in the catalog fits the pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlic.errors import CheckpointError, PartitionError

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

__all__ = ["refuse_other_partitions", "refuse_stale_targets"]


def refuse_other_partitions(
    pipeline: Pipeline, num_parts: int, catalog: CatalogProtocol[str, Any]
) -> None:
    """Refuse groups by hand or of an earlier run that are not as many as teachers are wired.

    Raises
    ------
    PartitionError, CheckpointError
        Before anything runs.
    """
    for name in sorted(pipeline.inputs()):
        entry = catalog.get(name) if name.startswith("partition_") else None
        if entry is not None and entry.exists():
            entry.load().require_parts(num_parts)
    if "user_groups" in pipeline.inputs() and (entry := catalog.get("user_groups")) is not None:
        _refuse_other_number(len(entry.load()), num_parts)
    _refuse_stale_groups(pipeline, num_parts, catalog)
    refuse_stale_targets(pipeline, catalog)


def refuse_stale_targets(pipeline: Pipeline, catalog: CatalogProtocol[str, Any]) -> None:
    """Refuse what teachers wrote, if partition or teachers have changed since.

    Only where a run begins after them: a run that makes them makes them new.

    Raises
    ------
    CheckpointError
        Naming what changed.
    """
    given = pipeline.inputs()
    written = sorted(name for name in pipeline.datasets() if name.endswith(".logits"))
    for name in [name for name in written if name in given]:
        logits = _at_hand(catalog, name)
        if logits is not None:
            _refuse_other_cut(logits.teacher, {logits.strategy: logits.partition}, catalog)
    targets = _at_hand(catalog, "soft_targets") if "soft_targets" in given else None
    if targets is None:
        return
    _refuse_other_cut("soft_targets", targets.partitions, catalog)
    for teacher, fingerprint in targets.teachers.items():
        logits = _at_hand(catalog, f"{teacher}.logits")
        if logits is not None and logits.fingerprint != fingerprint:
            raise CheckpointError(
                f"soft_targets were joined from another {teacher} than the one at hand: run "
                "the distillation pipeline whole"
            )


def _refuse_stale_groups(
    pipeline: Pipeline, num_parts: int, catalog: CatalogProtocol[str, Any]
) -> None:
    """Refuse groups that were handed to teachers from another partition, or of another number."""
    for name in sorted(name for name in pipeline.inputs() if name.endswith(".group")):
        group = _at_hand(catalog, name) or {}
        if "partition" in group:
            _refuse_other_cut(name, {group["strategy"]: group["partition"]}, catalog)
            partition = _at_hand(catalog, f"partition_{group['strategy']}")
            if partition is not None:
                partition.require_parts(num_parts)


def _at_hand(catalog: CatalogProtocol[str, Any], name: str) -> Any:
    """Load an entry, if there is one; what is memory-mapped costs its header only."""
    entry = catalog.get(name)
    return entry.load() if entry is not None and entry.exists() else None


def _refuse_other_cut(
    what: str, partitions: dict[str, str | None], catalog: CatalogProtocol[str, Any]
) -> None:
    for strategy, fingerprint in partitions.items():
        partition = _at_hand(catalog, f"partition_{strategy}") if fingerprint else None
        if partition is not None and partition.fingerprint != fingerprint:
            raise CheckpointError(
                f"{what} belongs to another partition_{strategy} than the one at hand: run the "
                "teacher_training pipeline again"
            )


def _refuse_other_number(found: int, num_parts: int) -> None:
    if found != num_parts:
        raise PartitionError(
            f"user_groups has {found} groups but {num_parts} teachers are wired: write down "
            f"{num_parts}, or set partition.num_parts to {found}"
        )

"""A look, before a run, at whether what lies in the catalog fits the pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlic.errors import PartitionError

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

__all__ = ["refuse_other_partitions"]


def refuse_other_partitions(
    pipeline: Pipeline, num_parts: int, catalog: CatalogProtocol[str, Any]
) -> None:
    """Refuse groups by hand or of an earlier run that are not as many as teachers are wired.

    Raises
    ------
    PartitionError
        Before anything runs.
    """
    for name in sorted(pipeline.inputs()):
        entry = catalog.get(name) if name.startswith("partition_") else None
        if entry is not None and entry.exists():
            entry.load().require_parts(num_parts)
    if "user_groups" in pipeline.inputs() and (entry := catalog.get("user_groups")) is not None:
        _refuse_other_number(len(entry.load()), num_parts)


def _refuse_other_number(found: int, num_parts: int) -> None:
    if found != num_parts:
        raise PartitionError(
            f"user_groups has {found} groups but {num_parts} teachers are wired: write down "
            f"{num_parts}, or set partition.num_parts to {found}"
        )

"""A look, before a run, at whether what lies in the catalog fits the pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

__all__ = ["refuse_other_partitions"]


def refuse_other_partitions(
    pipeline: Pipeline, num_parts: int, catalog: CatalogProtocol[str, Any]
) -> None:
    """Refuse a partition of an earlier run that has not as many groups as teachers are wired.

    Raises
    ------
    PartitionError
        Before anything runs.
    """
    for name in sorted(pipeline.inputs()):
        entry = catalog.get(name) if name.startswith("partition_") else None
        if entry is not None and entry.exists():
            entry.load().require_parts(num_parts)

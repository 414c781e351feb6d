"""Parquet tables as manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

__all__ = ["read_parquet"]


def read_parquet(
    path: Path, nrows: int | None = None, images: bool = True
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read the first rows, or all, and the metadata of a table.

    Without ``images``, the column ``image`` contains None instead of the encoded images.
    """
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    metadata = {k.decode(): v.decode() for k, v in (file.schema_arrow.metadata or {}).items()}
    names = file.schema_arrow.names
    # Encoded images are nearly all of a file; previews and label checks do not need them.
    columns = names if images else [name for name in names if name != "image"]
    if nrows is None:
        table = file.read(columns)
    else:
        batch = next(file.iter_batches(nrows, columns=columns), None)
        table = file.schema_arrow.empty_table().select(columns) if batch is None else batch
    frame = table.to_pandas(ignore_metadata=True)
    return frame if len(columns) == len(names) else frame.assign(image=None), metadata

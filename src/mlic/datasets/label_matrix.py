"""A label matrix as a Parquet table with its class list and its fingerprint."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from mlic.caching.atomic import atomic_write
from mlic.datasets.base import (
    DatasetDataError,
    FileDataset,
    label_table,
    preview_labels,
    wrap_errors,
)
from mlic.labels import LabelMatrix, LabelSpace

if TYPE_CHECKING:
    import pyarrow as pa
    from kedro_datasets._typing import TablePreview

__all__ = ["LabelMatrixDataset"]


class LabelMatrixDataset(FileDataset):
    """A Parquet table with the columns image_id, split and labels.

    The metadata of its schema contain the class list (``classes``) and the fingerprint of the
    matrix (``fingerprint``).
    """

    def load(self) -> LabelMatrix:
        """Read the matrix.

        A file that is missing, damaged or edited raises `DatasetDataError`.
        """
        import pyarrow.parquet as pq

        with wrap_errors(self._filepath):
            table = pq.read_table(self._filepath)
            labels = _from_table(table)
            if labels.fingerprint != _metadata(table, "fingerprint"):
                # The order of labels or images may have changed: nothing would fit together.
                raise DatasetDataError(
                    f"{self._filepath} does not have its fingerprint, so it was edited: run the "
                    "node that creates it"
                )
            return labels

    def save(self, data: LabelMatrix) -> None:
        """Write the matrix."""
        import pyarrow.parquet as pq

        with wrap_errors(self._filepath), atomic_write(self._filepath) as partial:
            table = label_table(data)
            # The fingerprint shows when the table was edited, or written by another program.
            known = table.schema.metadata | {"fingerprint": data.fingerprint}
            pq.write_table(table.replace_schema_metadata(known), partial)

    def preview(self, nrows: int = 5) -> TablePreview:
        """Return the first rows, for Kedro-Viz."""
        import pyarrow.parquet as pq

        with wrap_errors(self._filepath):
            table = pq.read_table(self._filepath).slice(0, nrows)
            return preview_labels(_from_table(table))


def _metadata(table: pa.Table, key: str) -> str:
    """Return one entry of the schema's metadata."""
    value = (table.schema.metadata or {}).get(key.encode())
    if value is None:
        raise ValueError(f"the schema's metadata has no '{key}'")
    return str(value.decode())


def _from_table(table: pa.Table) -> LabelMatrix:
    # Lists of one length are one flat buffer, which becomes the matrix without a copy per row.
    space = LabelSpace(tuple(json.loads(_metadata(table, "classes"))))
    states = table["labels"].combine_chunks().flatten().to_numpy()
    return LabelMatrix(
        space,
        np.asarray(table["image_id"].to_pylist(), dtype=np.str_),
        states.reshape(table.num_rows, len(space)),
        np.asarray(table["split"].to_pylist(), dtype=np.str_),
    )

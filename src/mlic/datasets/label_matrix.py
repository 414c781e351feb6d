"""A label matrix as a Parquet table with its class list and its fingerprint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from kedro.io import AbstractDataset

from mlic.caching.atomic import atomic_write
from mlic.datasets.base import (
    DatasetDataError,
    label_table,
    preview_labels,
    wrap_errors,
)
from mlic.labels import LabelMatrix, LabelSpace

if TYPE_CHECKING:
    import pyarrow as pa
    from kedro_datasets._typing import TablePreview

__all__ = ["LabelMatrixDataset"]


class LabelMatrixDataset(AbstractDataset[LabelMatrix, LabelMatrix]):
    """A Parquet table with the columns image_id, split and labels.

    The metadata of its schema contain the class list (``classes``) and the fingerprint of the
    matrix (``fingerprint``).

    Parameters
    ----------
    filepath
        The Parquet file.
    metadata
        Metadata for plugins, not used by mlic.

    Examples
    --------
    >>> import tempfile
    >>> dataset = LabelMatrixDataset(f"{tempfile.mkdtemp()}/labels.parquet")
    >>> dataset.save(LabelMatrix(LabelSpace(("cat", "dog")), ["a"], [[1, -1]], ["train"]))
    >>> dataset.preview()["data"]
    [['a', 'train', 'cat, ?dog']]
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def load(self) -> LabelMatrix:
        """Read the matrix.

        Raises
        ------
        DatasetDataError
            If the file is missing or damaged, or its content does not have its fingerprint.
        """
        import pyarrow.parquet as pq

        with wrap_errors(self._filepath):
            table = pq.read_table(self._filepath)
            labels = _from_table(table)
            if labels.fingerprint != _metadata(table, "fingerprint"):
                # The order of labels or images may have changed: nothing would fit together.
                raise DatasetDataError(
                    f"{self._filepath} does not have its fingerprint, so it was edited: run the "
                    "node that creates it",
                    path=self._filepath,
                )
            return labels

    def save(self, data: LabelMatrix) -> None:
        """Write the matrix."""
        import pyarrow.parquet as pq

        with wrap_errors(self._filepath), atomic_write(self._filepath) as partial:
            table = label_table(data)
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

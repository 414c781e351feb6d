"""A label matrix as a Parquet table that carries its class list and its fingerprint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from kedro.io import AbstractDataset

from mlic.datasets.base import (
    DatasetDataError,
    atomic_write,
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
    """Columns image_id, split and labels; ``classes`` and ``fingerprint`` in the metadata.

    Parameters
    ----------
    filepath
        The Parquet file.
    metadata
        For plugins; not used here.

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
            If the file is damaged or its content does not fit its fingerprint.
        """
        import pyarrow.parquet as pq

        with wrap_errors(self._filepath):
            table = pq.read_table(self._filepath)
            labels = _from_table(table)
            if labels.fingerprint != _metadata(table, "fingerprint"):
                raise DatasetDataError(
                    f"{self._filepath} does not fit its fingerprint: it was changed by hand; run "
                    "the node that makes it again"
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
        """First rows, for Kedro-Viz."""
        import pyarrow.parquet as pq

        with wrap_errors(self._filepath):
            table = pq.read_table(self._filepath).slice(0, nrows)
            return preview_labels(_from_table(table))


def _metadata(table: pa.Table, key: str) -> str:
    value = (table.schema.metadata or {}).get(key.encode())
    if value is None:
        raise ValueError(f"the schema's metadata has no '{key}'")
    return str(value.decode())


def _from_table(table: pa.Table) -> LabelMatrix:
    space = LabelSpace(tuple(json.loads(_metadata(table, "classes"))))
    states = table["labels"].combine_chunks().flatten().to_numpy()
    return LabelMatrix(
        space,
        np.asarray(table["image_id"].to_pylist(), dtype=np.str_),
        states.reshape(table.num_rows, len(space)),
        np.asarray(table["split"].to_pylist(), dtype=np.str_),
    )

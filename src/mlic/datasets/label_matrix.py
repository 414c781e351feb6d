"""A label matrix as a Parquet table with its class list and its fingerprint."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from mlic.caching.atomic import atomic_write
from mlic.datasets.base import FileDataset, label_table, preview_labels, wrap_errors
from mlic.datasets.stored_labels import StoredLabelMatrix, matrix_from_table, read_matrix
from mlic.labels.matrix import block_length

if TYPE_CHECKING:
    from kedro_datasets._typing import TablePreview

    from mlic.labels import LabelMatrix, LabelSpace

__all__ = ["LabelMatrixDataset", "group_length"]

GROUP_BLOCKS = 16  # blocks in one row group: 16 MB of label states, before they are compressed


def group_length(space: LabelSpace) -> int:
    """Return the number of images in one row group."""
    return GROUP_BLOCKS * block_length(space)


class LabelMatrixDataset(FileDataset):
    """A Parquet table with the columns image_id, split and labels.

    The metadata of its schema contain the class list (``classes``) and the fingerprint of the
    matrix (``fingerprint``). The rows are in groups of about 16 million label states.
    """

    def load(self) -> LabelMatrix:
        """Read the matrix; one of several row groups stays in its file until it is used.

        A file that is missing, damaged or edited raises `DatasetDataError`. What is wrong with the
        rows of a table of several row groups is found when they are read, see `StoredLabelMatrix`.
        """
        import pyarrow.parquet as pq

        with wrap_errors(self._filepath), pq.ParquetFile(self._filepath) as file:
            if file.num_row_groups > 1:
                return StoredLabelMatrix(self._filepath, file.schema_arrow, file.metadata.num_rows)
            return read_matrix(self._filepath, file.read())

    def save(self, data: LabelMatrix) -> None:
        """Write the matrix."""
        import pyarrow.parquet as pq

        with wrap_errors(self._filepath), atomic_write(self._filepath) as partial:
            table = label_table(data)
            # The fingerprint shows when the table was edited, or written by another program.
            known = table.schema.metadata | {"fingerprint": data.fingerprint}
            table = table.replace_schema_metadata(known)
            pq.write_table(table, partial, row_group_size=group_length(data.space))

    def preview(self, nrows: int = 5) -> TablePreview:
        """Return the first rows, for Kedro-Viz."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with wrap_errors(self._filepath), pq.ParquetFile(self._filepath) as file:
            first = list(islice(file.iter_batches(nrows), 1))
            return preview_labels(
                matrix_from_table(pa.Table.from_batches(first, file.schema_arrow))
            )

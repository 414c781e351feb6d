"""A label matrix that stays in its Parquet file, and the reading of such files."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlic.datasets.base import DatasetDataError, wrap_errors
from mlic.labels import LabelMatrix, LabelSpace
from mlic.labels.matrix import block_length, require_splits, require_states, require_unique
from mlic.labels.matrix_digest import MatrixDigest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa
    import pyarrow.parquet as pq
    from numpy.typing import NDArray

__all__ = ["StoredLabelMatrix", "matrix_from_table", "read_matrix"]


class StoredLabelMatrix(LabelMatrix):
    """A label matrix in a Parquet file, for tables of any number of images.

    `blocks` reads the file step by step. Everything else reads the whole table once, when ids,
    states or splits are first used. Either way the content must have the fingerprint that the file
    had when this object was made; otherwise `DatasetDataError` is raised, by `blocks` after the
    last block.

    Parameters
    ----------
    path
        The file, written by `LabelMatrixDataset`.
    schema
        Its Arrow schema.
    num_images
        Its number of rows.
    """

    def __init__(self, path: Path, schema: pa.Schema, num_images: int) -> None:
        object.__setattr__(self, "space", _space(schema))
        self._path, self._num_images = path, num_images
        self._fingerprint = _metadata(schema, "fingerprint")

    @cached_property
    def _whole(self) -> LabelMatrix:
        import pyarrow.parquet as pq

        with wrap_errors(self._path):
            return read_matrix(self._path, pq.read_table(self._path), self._fingerprint)

    @property
    def ids(self) -> NDArray[np.str_]:  # type: ignore[override]
        """Image ids; shape (n,), strings."""
        return self._whole.ids

    @property
    def states(self) -> NDArray[np.int8]:  # type: ignore[override]
        """1 present, 0 absent, −1 unknown; shape (n, C)."""
        return self._whole.states

    @property
    def split(self) -> NDArray[np.str_]:  # type: ignore[override]
        """Splits; shape (n,)."""
        return self._whole.split

    @property
    def fingerprint(self) -> str:  # type: ignore[override]
        """Fingerprint of the content, which is read for it."""
        return self._whole.fingerprint

    def __len__(self) -> int:
        return self._num_images

    def blocks(self) -> Iterator[tuple[NDArray[np.int8], NDArray[np.str_]]]:
        """Yield states and splits of consecutive images, without reading the whole table."""
        import pyarrow.parquet as pq

        if "_whole" in self.__dict__:
            yield from self._whole.blocks()
            return
        with wrap_errors(self._path), pq.ParquetFile(self._path) as file:
            digest, length = MatrixDigest(self.space), block_length(self.space)
            digest.add_texts(_unique_ids(file, length))
            for batch in _batches(file, ["split", "labels"], length):
                states, split = _states(batch["labels"], self.space), _texts(batch["split"])
                require_states(states)
                require_splits(split)
                digest.add_states(states)
                yield states, split
            # the digest takes all splits after all states, and reading them again takes no memory
            digest.add_texts(_lists(file, "split", length))
            _require_fingerprint(self._path, digest.fingerprint, self._fingerprint)


def read_matrix(path: Path, table: pa.Table, fingerprint: str | None = None) -> LabelMatrix:
    """Convert a whole table and compare its fingerprint, by default with that of its metadata."""
    labels = matrix_from_table(table)
    expected = _metadata(table.schema, "fingerprint") if fingerprint is None else fingerprint
    _require_fingerprint(path, labels.fingerprint, expected)
    return labels


def matrix_from_table(table: pa.Table) -> LabelMatrix:
    """Convert a table, without comparing its fingerprint."""
    space = _space(table.schema)
    states = _states(table["labels"].combine_chunks(), space)
    return LabelMatrix(space, _texts(table["image_id"]), states, _texts(table["split"]))


def _metadata(schema: pa.Schema, key: str) -> str:
    """Return one entry of the schema's metadata."""
    value = (schema.metadata or {}).get(key.encode())
    if value is None:
        raise ValueError(f"the schema's metadata has no '{key}'")
    return str(value.decode())


def _space(schema: pa.Schema) -> LabelSpace:
    return LabelSpace(tuple(json.loads(_metadata(schema, "classes"))))


def _states(labels: pa.Array, space: LabelSpace) -> NDArray[np.int8]:
    # Lists of one length are one flat buffer, which becomes the matrix without a copy per row.
    states = labels.flatten().to_numpy().reshape(len(labels), len(space))
    return np.asarray(states, dtype=np.int8)


def _texts(column: pa.Array | pa.ChunkedArray) -> NDArray[np.str_]:
    return np.asarray(column.to_pylist(), dtype=np.str_)


def _batches(file: pq.ParquetFile, columns: list[str], length: int) -> Iterator[pa.RecordBatch]:
    """Read some columns of consecutive images."""
    # Arrow keeps what it has read until its reader is closed: one reader for each row group keeps
    # little. One thread needs less memory than several, and decodes one column as fast.
    for group in range(file.num_row_groups):
        yield from file.iter_batches(length, [group], columns, use_threads=False)


def _lists(file: pq.ParquetFile, column: str, length: int) -> Iterator[list[str]]:
    for batch in _batches(file, [column], length):
        yield batch[column].to_pylist()


def _unique_ids(file: pq.ParquetFile, length: int) -> Iterator[list[str]]:
    """Yield the ids of consecutive images, and check that each occurs once."""
    # 8 bytes for each image: the ids themselves would take gigabytes for 10 million images
    hashes, start = np.empty(file.metadata.num_rows, np.int64), 0
    for ids in _lists(file, "image_id", length):
        hashes[start : start + len(ids)] = [hash(name) for name in ids]
        start += len(ids)
        yield ids
    hashes.sort()
    # two ids may have one hash by chance, so that the ids themselves decide
    if (hashes[1:] == hashes[:-1]).any():
        require_unique(_texts(file.read(["image_id"])["image_id"]))


def _require_fingerprint(path: Path, found: str, expected: str) -> None:
    if found != expected:
        # The order of labels or images may have changed: nothing would fit together.
        raise DatasetDataError(
            f"{path} does not have its fingerprint, so it was edited: run the node that creates it"
        )

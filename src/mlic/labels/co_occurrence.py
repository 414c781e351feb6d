"""Counts of labels, and of pairs of labels, over up to millions of images.

The label matrix is read in blocks of images. For each block the sparse product XᵀY of its marks
counts the pairs of labels, and the counts of all blocks are added up. Blocks are small enough to
stay in the processor's cache, and they run in threads, because SciPy's products release the GIL.
"""

from __future__ import annotations

import mmap
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mlic.labels.matrix import ABSENT, PRESENT, UNKNOWN, require_states

__all__ = ["States", "count_pairs", "count_states", "read_cells", "states_equal"]

States: TypeAlias = NDArray[np.int8] | sparse.sparray | sparse.spmatrix
Rows: TypeAlias = Any  # an int8 array, or sparse rows

BLOCK_PAIRS = 1 << 22  # pairs of states in one block of images: about 30 MB in each thread
BAND_LABELS = 128  # rows of the count matrix that one product fills
MAX_THREADS = 4  # more threads only wait for memory
# Above this share of non-zero cells a product of dense matrices is faster than a sparse one.
DENSE_SHARE = 0.05


def states_equal(states: States, state: int) -> sparse.csr_array:
    """Mark the cells that have a given state, `PRESENT` or `UNKNOWN`.

    Parameters
    ----------
    states
        1 present, 0 absent, −1 unknown; shape (n, C), an int8 array or a SciPy sparse matrix
        that stores its −1 explicitly. Another value raises a `LabelError`.

    Returns
    -------
    scipy.sparse.csr_array
        1 in every marked cell, int32; shape (n, C).
    """
    marks = _checked(states)
    marks.data[marks.data != state] = ABSENT
    marks.eliminate_zeros()
    return marks.astype(np.int32) * state  # int8 would overflow at 127 images


def count_states(states: States) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the images in which each label is present, and those in which it is unknown.

    The states are as in `states_equal`; both results have the shape (C,) and are int64.
    """
    rows, size = _by_rows(states), states.shape[1]

    def count(images: slice) -> NDArray[np.int64]:
        block = _checked(rows[images])
        found = [block.indices[block.data == state] for state in (PRESENT, UNKNOWN)]
        return np.stack([np.bincount(columns, minlength=size) for columns in found])

    with _threads() as pool:
        present, unknown = sum(pool.map(count, _blocks(rows)), np.zeros((2, size), np.int64))
    return present, unknown


def count_pairs(states: States, first: int, second: int) -> sparse.csr_array:
    """Count the images in which label i has the first state and label j ≠ i the second.

    The states are as in `states_equal`. The time grows with the sum over images of the squared
    number of labels. The counts are dense while they are added up, which takes 4 C² bytes.

    Returns
    -------
    scipy.sparse.csr_array
        Counts in canonical format, with an empty diagonal; shape (C, C), int32. Symmetric if
        both states are the same.

    Examples
    --------
    >>> count_pairs(np.array([[1, 1, -1], [1, 1, 0]]), 1, 1).toarray().tolist()
    [[0, 2, 0], [2, 0, 0], [0, 0, 0]]
    """
    rows, size = _by_rows(states), states.shape[1]
    starts = range(0, size, BAND_LABELS)
    bands = [_zeros(min(BAND_LABELS, size - start), size) for start in starts]
    lock = Lock()

    def add(images: slice) -> None:
        left, right = _factors(rows[images], first, second)
        for start, band in zip(starts, bands, strict=True):
            product = left[start : start + len(band)] @ right
            counts = product.toarray() if sparse.issparse(product) else product.astype(np.int32)
            # all threads add to the same bands
            with lock:
                np.add(band, counts, out=band)

    with _threads() as pool:
        list(pool.map(add, _blocks(rows)))
    for start, band in zip(starts, bands, strict=True):
        np.fill_diagonal(band[:, start:], 0)
    return _to_sparse(bands, size)


def read_cells(
    matrix: sparse.csr_array, rows: NDArray[np.integer], columns: NDArray[np.integer]
) -> NDArray[Any]:
    """Read single cells of a sparse matrix, one for each row and column; shape (m,)."""
    if not len(rows):  # here SciPy would return a sparse array
        return np.zeros(0, dtype=matrix.dtype)
    return np.asarray(matrix[rows, columns])


def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1))


def _by_rows(states: States) -> Rows:
    return sparse.csr_array(states) if sparse.issparse(states) else states


def _checked(states: States) -> sparse.csr_array:
    """Copy the states that are not absent, in canonical format, and check them."""
    rows = sparse.csr_array(states, copy=True)  # the caller's matrix must not be changed
    rows.sum_duplicates()
    require_states(rows.data)
    return rows


def _blocks(rows: Rows) -> list[slice]:
    """Divide the images into consecutive blocks with about `BLOCK_PAIRS` pairs of states each."""
    is_sparse = isinstance(rows, sparse.csr_array)
    lengths = np.diff(rows.indptr) if is_sparse else np.count_nonzero(rows, axis=1)
    # Crowded images are multiplied dense, and the work of a dense row grows with C, not with pairs.
    work = np.cumsum(np.minimum(lengths.astype(np.int64) ** 2, 8 * rows.shape[1]))
    total = int(work[-1]) if len(work) else 0
    full = np.searchsorted(work, np.arange(BLOCK_PAIRS, total, BLOCK_PAIRS))
    ends = np.unique([0, *full, len(lengths)]).tolist()
    return [slice(start, end) for start, end in pairwise(ends)]


def _factors(block: Rows, first: int, second: int) -> tuple[Any, Any]:
    """Marks of the two states of one block, shapes (C, m) and (m, C), whose product counts pairs.

    Sparse int32, or dense float32 where labels are crowded: float32 is exact up to 2²⁴ images.
    """
    left = states_equal(block, first)
    right = left if first == second else states_equal(block, second)
    if left.nnz + right.nnz > 2 * DENSE_SHARE * block.shape[0] * block.shape[1]:
        return left.toarray().astype(np.float32).T, right.toarray().astype(np.float32)
    return left.T.tocsr(), right


def _zeros(num_rows: int, size: int) -> NDArray[np.int32]:
    """Allocate zeros in a memory map of their own."""
    # the memory that NumPy frees may stay with the process; that of a map always goes back
    buffer = mmap.mmap(-1, num_rows * size * np.dtype(np.int32).itemsize)
    return np.frombuffer(buffer, np.int32).reshape(num_rows, size)


def _to_sparse(bands: list[NDArray[np.int32]], size: int) -> sparse.csr_array:
    """Join bands of rows into one sparse matrix, and free each band once it is copied."""
    per_row = [np.count_nonzero(band, axis=1) for band in bands]
    ends = np.concatenate([[0], *per_row]).cumsum()
    indptr = ends.astype(np.int32 if ends[-1] < 2**31 else np.int64)
    # np.empty takes no memory before it is written: the peak stays near that of the bands alone
    data, indices = np.empty(ends[-1], np.int32), np.empty(ends[-1], indptr.dtype)
    for start in reversed(range(0, size, BAND_LABELS)):
        counts = bands.pop()
        places = np.flatnonzero(counts)
        kept = slice(ends[start], ends[start + len(counts)])
        data[kept], indices[kept] = counts.ravel()[places], places % size
    return sparse.csr_array((data, indices, indptr), shape=(size, size))

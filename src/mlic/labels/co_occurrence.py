"""Counts of labels, and of pairs of labels, over up to millions of images.

The label matrix is read in blocks of images. For each block the sparse product XᵀY of its marks
counts the pairs of labels, and the counts of all blocks are added up. Blocks are small enough to
stay in the processor's cache, and they run in threads, because SciPy's products release the GIL.
"""

from __future__ import annotations

import mmap
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from threading import Lock
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mlic.labels.matrix import ABSENT, PRESENT, UNKNOWN, require_states

__all__ = ["Counts", "States", "count_states", "read_cells", "states_equal"]

States: TypeAlias = NDArray[np.int8] | sparse.sparray | sparse.spmatrix
Rows: TypeAlias = Any  # an int8 array, or sparse rows

BLOCK_PAIRS = 1 << 22  # pairs of states in one block of images: about 30 MB in each thread
BAND_LABELS = 128  # rows of the count matrix that one product fills
MAX_THREADS = 4  # more threads only wait for memory
# Above this share of non-zero cells a product of dense matrices is faster than a sparse one.
DENSE_SHARE = 0.05


class Counts(NamedTuple):
    """Counts of C labels over a number of images.

    Matrices of pairs have the shape (C, C) and are int32, in canonical format, with an empty
    diagonal: ``together`` counts images in which both labels are present, ``hidden[i, j]`` those in
    which i is unknown and j is present, ``both_unknown`` those in which both are unknown.
    """

    num_images: int
    present: NDArray[np.int64]
    unknown: NDArray[np.int64]
    together: sparse.csr_array
    hidden: sparse.csr_array
    both_unknown: sparse.csr_array


def count_states(blocks: Iterable[States], size: int) -> Counts:
    """Count labels and pairs of labels, over images that are given in blocks.

    The time grows with the sum over images of the squared number of labels. The counts of pairs are
    dense while they are added up, which takes 4 C² bytes, or 12 C² if states are unknown. Apart
    from them, the memory does not grow with the number of images. The counts do not depend on the
    division into blocks.

    Parameters
    ----------
    blocks
        States of consecutive images: 1 present, 0 absent, −1 unknown; shape (m, size), an int8
        array or a SciPy sparse matrix that stores its −1 explicitly. Another value raises a
        `LabelError`.
    size
        Number of labels, C.

    Examples
    --------
    >>> counts = count_states([np.array([[1, 1, -1]]), np.array([[1, 1, 0]])], 3)
    >>> counts.num_images, counts.present.tolist(), counts.together.toarray().tolist()
    (2, [2, 2, 0], [[0, 2, 0], [2, 0, 0], [0, 0, 0]])
    """
    sums, threads = _Sums(size), min(MAX_THREADS, os.cpu_count() or 1)
    pending: deque[Future[None]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for rows in _pieces(blocks):
            pending.append(pool.submit(sums.add, rows))
            if len(pending) > threads:  # pieces that wait take memory
                pending.popleft().result()
        for future in pending:
            future.result()
    present, unknown = sums.single
    return Counts(sums.num_images, present, unknown, *(sums.pop_pairs(kind) for kind in _KINDS))


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


def read_cells(
    matrix: sparse.csr_array, rows: NDArray[np.integer], columns: NDArray[np.integer]
) -> NDArray[Any]:
    """Read single cells of a sparse matrix, one for each row and column; shape (m,)."""
    if not len(rows):  # here SciPy would return a sparse array
        return np.zeros(0, dtype=matrix.dtype)
    return np.asarray(matrix[rows, columns])


_KINDS = ((PRESENT, PRESENT), (UNKNOWN, PRESENT), (UNKNOWN, UNKNOWN))


class _Sums:
    """Sums of counts, to which several threads add."""

    def __init__(self, size: int) -> None:
        self.num_images = 0
        self.single = np.zeros((2, size), np.int64)  # images with each label present, unknown
        self._size = size
        # without unknown states two thirds of the work and of the memory are saved
        self._bands: dict[tuple[int, int], list[NDArray[np.int32]]] = {}
        self._lock = Lock()

    def add(self, rows: sparse.csr_array) -> None:
        """Add the images of one piece."""
        marks = {state: states_equal(rows, state) for state in (PRESENT, UNKNOWN)}
        with self._lock:
            self.num_images += rows.shape[0]
            self.single += [np.bincount(m.indices, minlength=self._size) for m in marks.values()]
        for first, second in _KINDS:
            if marks[first].nnz and marks[second].nnz:
                self._add_pairs((first, second), *_factors(marks[first], marks[second]))

    def _add_pairs(self, kind: tuple[int, int], left: Any, right: Any) -> None:
        size, starts = self._size, range(0, self._size, BAND_LABELS)
        with self._lock:
            if kind not in self._bands:
                shapes = [(min(BAND_LABELS, size - start), size) for start in starts]
                self._bands[kind] = [_zeros(*shape) for shape in shapes]
        for start, band in zip(starts, self._bands[kind], strict=True):
            product = left[start : start + len(band)] @ right
            counts = product.toarray() if sparse.issparse(product) else product.astype(np.int32)
            with self._lock:
                np.add(band, counts, out=band)

    def pop_pairs(self, kind: tuple[int, int]) -> sparse.csr_array:
        """Return the counts of one kind of pair, and free their memory."""
        bands = self._bands.pop(kind, None)
        if bands is None:
            return sparse.csr_array((self._size, self._size), dtype=np.int32)
        for number, band in enumerate(bands):
            np.fill_diagonal(band[:, number * BAND_LABELS :], 0)
        return _to_sparse(bands, self._size)


def _by_rows(states: States) -> Rows:
    return sparse.csr_array(states) if sparse.issparse(states) else states


def _pieces(blocks: Iterable[States]) -> Iterator[sparse.csr_array]:
    """Divide large blocks and join small ones, so that each piece is worth a product.

    A product adds to C² counts, however few images it is made of.
    """
    held: list[sparse.csr_array] = []
    work = 0
    for block in blocks:
        rows = _by_rows(block)
        for images in _blocks(rows):
            held.append(_checked(rows[images]))
            work += int(_work(held[-1]).sum())
            if 2 * work >= BLOCK_PAIRS:  # the parts of a large block are a little below the limit
                yield sparse.vstack(held, format="csr")
                held, work = [], 0
    if held:
        yield sparse.vstack(held, format="csr")


def _checked(states: States) -> sparse.csr_array:
    """Copy the states that are not absent, in canonical format, and check them."""
    rows = sparse.csr_array(states, copy=True)  # the caller's matrix must not be changed
    rows.sum_duplicates()
    require_states(rows.data)
    return rows


def _blocks(rows: Rows) -> list[slice]:
    """Divide the images into consecutive blocks with about `BLOCK_PAIRS` pairs of states each."""
    work = np.cumsum(_work(rows))
    total = int(work[-1]) if len(work) else 0
    full = np.searchsorted(work, np.arange(BLOCK_PAIRS, total, BLOCK_PAIRS))
    ends = np.unique([0, *full, len(work)]).tolist()
    return [slice(start, end) for start, end in pairwise(ends)]


def _work(rows: Rows) -> NDArray[np.int64]:
    """Pairs of states in each image, at least 1, because an image without labels takes memory."""
    is_sparse = isinstance(rows, sparse.csr_array)
    lengths = np.diff(rows.indptr) if is_sparse else np.count_nonzero(rows, axis=1)
    # Crowded images are multiplied dense, and the work of a dense row grows with C, not with pairs.
    return np.asarray(np.clip(lengths.astype(np.int64) ** 2, 1, 8 * rows.shape[1]))


def _factors(first: sparse.csr_array, second: sparse.csr_array) -> tuple[Any, Any]:
    """Return matrices of shapes (C, m) and (m, C) whose product counts pairs of marks.

    Sparse int32, or dense float32 where labels are crowded: float32 is exact up to 2²⁴ images.
    """
    if first.nnz + second.nnz > 2 * DENSE_SHARE * first.shape[0] * first.shape[1]:
        return first.toarray().astype(np.float32).T, second.toarray().astype(np.float32)
    return first.T.tocsr(), second


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

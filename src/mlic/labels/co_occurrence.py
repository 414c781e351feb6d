"""Pairs of label states that stand in one image, counted over millions of images.

The pairs of each image are written out as numbers, sorted, and added up run by run: the counts
are then touched in the order in which they lie, and only half of them, as every pair of labels
is met once. A sparse product of the label matrix with itself reads it in no order at all, and took
more than twice as long. Where images are crowded with labels, a dense product is the quickest.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mlic.errors import LabelError
from mlic.labels.matrix import ABSENT, PRESENT, UNKNOWN

__all__ = ["States", "count_pairs", "count_states", "states_equal"]

States: TypeAlias = NDArray[np.int8] | sparse.sparray | sparse.spmatrix
Rows: TypeAlias = Any  # an int8 array, or sparse rows

BAND = 64  # labels
PAIRS = 1 << 19  # of one portion of the images, some 20 MB while they are sorted
MOST_THREADS = 4  # the memory keeps no more of them busy
# Marks in more than this share of all places are multiplied as a dense matrix: there, both ways
# take the same time.
DENSE = 0.05


def states_equal(states: States, state: int) -> sparse.csr_array:
    """Mark where the label state is a given one other than absent.

    Parameters
    ----------
    states
        1 present, 0 absent, −1 unknown; shape (n, C), an int8 array or a SciPy sparse matrix
        that stores its −1 explicitly.
    state
        `PRESENT` or `UNKNOWN`.

    Returns
    -------
    scipy.sparse.csr_array
        Ones, int32; shape (n, C).

    Raises
    ------
    LabelError
        If a state is neither 1, 0 nor −1.
    """
    marks = _only(_checked(states), state)
    return marks.astype(np.int32) * state


def count_states(states: States) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the images in which each label is present, and in which it is unknown.

    Parameters
    ----------
    states
        As in `states_equal`.

    Returns
    -------
    present, unknown : numpy.ndarray
        Shape (C,) each, int64.

    Raises
    ------
    LabelError
        If a state is neither 1, 0 nor −1.
    """
    rows, size = _by_rows(states), states.shape[1]

    def count(portion: slice) -> NDArray[np.int64]:
        block = _checked(rows[portion])
        found = [block.indices[block.data == state] for state in (PRESENT, UNKNOWN)]
        return np.stack([np.bincount(columns, minlength=size) for columns in found])

    with _threads() as pool:
        present, unknown = sum(pool.map(count, _portions(rows)), np.zeros((2, size), np.int64))
    return present, unknown


def count_pairs(states: States, first: int, second: int) -> sparse.csr_array:
    """Images in which label i is in the first state and label j ≠ i in the second.

    Parameters
    ----------
    states
        As in `states_equal`.
    first, second
        `PRESENT` or `UNKNOWN`.

    Returns
    -------
    scipy.sparse.csr_array
        Canonical, nothing on the diagonal; shape (C, C), int32.

    Raises
    ------
    LabelError
        If a state is neither 1, 0 nor −1.

    Notes
    -----
    Time grows with the sum over images of the squared number of labels. While the counts
    grow they are dense: 2 C² bytes, or 4 C² where the two states differ.

    Examples
    --------
    >>> count_pairs(np.array([[1, 1, -1], [1, 1, 0]]), 1, 1).toarray().tolist()
    [[0, 2, 0], [2, 0, 0], [0, 0, 0]]
    """
    rows = _by_rows(states)
    with _threads() as pool:
        upper = _count(rows, first, second, pool)
        lower = upper if first == second else _count(rows, second, first, pool)
        return _join(upper, lower, pool)


def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1))


def _by_rows(states: States) -> Rows:
    return sparse.csr_array(states) if sparse.issparse(states) else states


def _checked(states: States) -> sparse.csr_array:
    """States other than absent, in order, in a matrix of its own."""
    rows = sparse.csr_array(states, copy=True)
    rows.sum_duplicates()
    if not np.isin(rows.data, (PRESENT, ABSENT, UNKNOWN)).all():
        raise LabelError(
            "a label state is neither 1 (present), 0 (absent) nor -1 (unknown): recode the labels"
        )
    return rows


def _only(rows: sparse.csr_array, *wanted: int) -> sparse.csr_array:
    """Keep the states wanted, in place."""
    rows.data[~np.isin(rows.data, wanted)] = ABSENT
    rows.eliminate_zeros()
    return rows


def _portions(rows: Rows) -> list[slice]:
    """Images with about `PAIRS` pairs of states together, in turn."""
    known = isinstance(rows, sparse.csr_array)
    lengths = np.diff(rows.indptr) if known else np.count_nonzero(rows, axis=1)
    pairs = np.cumsum(lengths.astype(np.int64) * (lengths + 1) // 2)
    most = int(pairs[-1]) if len(pairs) else 0
    full = np.searchsorted(pairs, np.arange(PAIRS, most, PAIRS))
    ends = np.unique([0, *full, len(lengths)]).tolist()
    return [slice(start, end) for start, end in pairwise(ends)]


class _Triangle:
    """Counts of pairs of labels i < j, in bands of labels i; what lies below is not stored.

    Bands, and not one array, because `_join` gives them up one by one.
    """

    def __init__(self, size: int) -> None:
        self.starts = range(0, size, BAND)
        self.bands = [
            np.zeros((min(BAND, size - start), size - start), dtype=np.int32)
            for start in self.starts
        ]
        ends = np.cumsum([0, *(band.size for band in self.bands)])
        kind: Any = np.int32 if ends[-1] < 2**31 else np.int64  # the shorter, the sooner sorted
        self.ends = ends.astype(kind)
        # where label i would have its column 0: the pair i, j is at origin[i] + j
        origins = [
            end + np.arange(len(band)) * band.shape[1] - start
            for start, end, band in zip(self.starts, ends, self.bands, strict=False)
        ]
        self.origin: NDArray[np.int64] = np.concatenate([*origins, []]).astype(kind)
        self._lock = Lock()

    def add_pairs(self, first: NDArray[np.int32], second: NDArray[np.int32]) -> None:
        """Count pairs of labels, the first one less than the second."""
        places, times = np.unique(self.origin[first] + second, return_counts=True)
        cuts = np.searchsorted(places, self.ends).tolist()
        with self._lock:
            for number, band in enumerate(self.bands):
                own = slice(cuts[number], cuts[number + 1])
                band.ravel()[places[own] - self.ends[number]] += times[own].astype(np.int32)

    def add_product(self, first: NDArray[np.float32], second: NDArray[np.float32]) -> None:
        """Count pairs of marked labels; float32 counts the images of a portion exactly."""
        for start, band in zip(self.starts, self.bands, strict=True):
            product = first[:, start : start + len(band)].T @ second[:, start:]
            with self._lock:
                np.add(band, np.triu(product, k=1).astype(np.int32), out=band)


def _count(rows: Rows, first: int, second: int, pool: ThreadPoolExecutor) -> _Triangle:
    """Count label i in the first state and label j > i in the second."""
    counts = _Triangle(rows.shape[1])

    def add(portion: slice) -> None:
        block = _only(_checked(rows[portion]), first, second)
        if block.nnz > DENSE * block.shape[0] * block.shape[1]:
            states = block.toarray()
            counts.add_product(*((states == state).astype(np.float32) for state in (first, second)))
        else:
            left, right = _pairs(block)
            if first != second:
                asked = (block.data[left] == first) & (block.data[right] == second)
                left, right = left[asked], right[asked]
            counts.add_pairs(block.indices[left], block.indices[right])

    list(pool.map(add, _portions(rows)))
    return counts


def _pairs(block: sparse.csr_array) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Places of every two states of one image, the first before the second."""
    places = np.arange(block.nnz, dtype=np.int32)
    last = np.repeat(block.indptr[1:], np.diff(block.indptr)) - 1
    after = (last - places).astype(np.int32)
    first = np.repeat(places, after)
    # the pairs of a state end where its image does
    second = np.arange(len(first), dtype=np.int32)
    second += np.repeat(last - after.cumsum(dtype=np.int32) + 1, after)
    return first, second


def _join(upper: _Triangle, lower: _Triangle, pool: ThreadPoolExecutor) -> sparse.csr_array:
    """Rows of both triangles; bands are given up from the last on, to spare memory."""
    per_row = np.zeros(len(upper.origin), dtype=np.int64)
    for start, above, below in zip(upper.starts, upper.bands, lower.bands, strict=True):
        per_row[start : start + len(above)] += np.count_nonzero(above, axis=1)
        per_row[start:] += np.count_nonzero(below, axis=0)
    ends = np.concatenate([[0], per_row.cumsum()])
    indptr = ends.astype(np.int32 if ends[-1] < 2**31 else np.int64)
    data, indices = np.empty(ends[-1], np.int32), np.empty(ends[-1], indptr.dtype)

    def copy_rows(number: int) -> None:
        start, own = upper.starts[number], upper.bands[number]
        stop = start + len(own)
        before = [
            band[:, start - first : stop - first].T
            for first, band in zip(lower.starts, lower.bands[:number], strict=False)
        ]
        square = own[:, : len(own)] + lower.bands[number][:, : len(own)].T
        rows = np.concatenate([*before, square, own[:, len(own) :]], axis=1)
        places, kept = np.flatnonzero(rows), slice(ends[start], ends[stop])
        data[kept], indices[kept] = rows.ravel()[places], places % rows.shape[1]

    for last in range(len(upper.starts), 0, -MOST_THREADS):
        first = max(0, last - MOST_THREADS)
        list(pool.map(copy_rows, range(first, last)))
        del upper.bands[first:], lower.bands[first:]
    size = len(per_row)
    return sparse.csr_array((data, indices, indptr), shape=(size, size))

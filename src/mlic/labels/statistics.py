"""Label statistics: how often labels occur, and occur together, where they are known."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mlic.errors import DataError, LabelError
from mlic.labels.matrix import ABSENT, PRESENT, UNKNOWN
from mlic.labels.space import LabelSpace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["LabelStatistics", "States", "count_labels", "states_equal"]

States: TypeAlias = NDArray[np.int8] | sparse.sparray | sparse.spmatrix
Marks: TypeAlias = NDArray[np.float32] | sparse.csr_array
Blocks: TypeAlias = dict[int, NDArray[np.int32]]  # first label -> rows

# A block of the pictures stays in the processor's cache: the products of 10 million pictures of
# 10,000 labels took 11 s of one core's time in blocks of 0.6 million states, 15 s in blocks of 5;
# yet every block costs an addition of C² numbers.
BLOCK_STATES = 1 << 21
BLOCK_LABELS = 64  # one thread's share; SciPy's products let go of Python's lock
MOST_THREADS = 4  # the memory keeps no more of them busy
# Marks in more than this share of all places are multiplied as a dense matrix: measured, both ways
# take the same time at 0.1, at 0.3 the dense one is seven times as quick.
DENSE = 0.1
PAIRS = ("together", "hidden", "unknown")
PARTS = ("data", "indices", "indptr")


@dataclass(frozen=True, eq=False)
class LabelStatistics:
    """Counts of labels and of pairs of labels over a set of pictures.

    Pairs are kept sparse, so that memory grows with the pairs that were seen and not with C²; the
    properties are dense, for a person's eye and for up to some thousand labels.

    Parameters
    ----------
    space
        The labels, in the order of every axis below.
    num_pictures
        Number of pictures counted.
    counts
        Pictures in which a label is present; shape (C,), int64.
    together
        Pictures in which both labels are present, nothing on the diagonal; shape (C, C), sparse
        rows of int32.
    hidden
        ``hidden[i, j]``: pictures in which j is present and i is unknown; of the same form.
    unknown
        Pictures in which both labels are unknown; on the diagonal, those in which the one label
        is; of the same form.

    Raises
    ------
    LabelError
        If a shape does not fit the labels.
    """

    space: LabelSpace
    num_pictures: int
    counts: NDArray[np.int64]
    together: sparse.csr_array
    hidden: sparse.csr_array
    unknown: sparse.csr_array

    def __post_init__(self) -> None:
        size = len(self.space)
        for name in ("counts", *PAIRS):
            shape = (size,) if name == "counts" else (size, size)
            if getattr(self, name).shape != shape:
                raise LabelError(
                    f"label statistics: '{name}' has shape {getattr(self, name).shape} but "
                    f"{size} labels need {shape}; count the labels again"
                )

    @property
    def cooccurrence(self) -> NDArray[np.int64]:
        """Pictures in which both labels are present, zero diagonal; shape (C, C), int64."""
        return _dense(self.together)

    @property
    def known(self) -> NDArray[np.int64]:
        """Pictures in which neither label is unknown; shape (C, C), int64.

        On the diagonal, those in which the one label is known.
        """
        both, alone = _dense(self.unknown), self.unknown.diagonal().astype(np.int64)
        known: NDArray[np.int64] = self.num_pictures - alone - alone[:, None] + both
        return known

    @property
    def support(self) -> NDArray[np.int64]:
        """``support[i, j]``: pictures in which j is present and i known; shape (C, C), int64."""
        return self.counts - _dense(self.hidden)

    @property
    def conditional(self) -> NDArray[np.float64]:
        """P[i, j] = P(i present | j present, i known); 0 where never seen; shape (C, C)."""
        return _ratio(self.cooccurrence, self.support)

    @property
    def lift(self) -> NDArray[np.float64]:
        """P(i, j) / P(i) P(j) where both are known; shape (C, C).

        1 for independent labels, 0 where never seen together and on the diagonal. Every factor is
        of the same pictures, so lift is symmetric and no unknown state bends it.
        """
        support = self.support
        return _ratio(self.cooccurrence * self.known, support * support.T)

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        """Arrays and text metadata, fit for one safetensors file."""
        tensors = {
            f"{name}.{part}": np.ascontiguousarray(getattr(getattr(self, name), part))
            for name in PAIRS
            for part in PARTS
        }
        names = json.dumps(list(self.space.names), ensure_ascii=False)
        return {"counts": self.counts, **tensors}, {
            "names": names,
            "num_pictures": str(self.num_pictures),
        }

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
    ) -> LabelStatistics:
        """Statistics from what `to_tensors` gave.

        Raises
        ------
        DataError
            If an array or a metadata entry is missing.
        """
        arrays = {f"{name}.{part}" for name in PAIRS for part in PARTS}
        missing = ({"counts", "names", "num_pictures"} | arrays) - set(tensors) - set(metadata)
        if missing:
            raise DataError(
                f"the label statistics lack {', '.join(sorted(missing))}: count the labels again"
            )
        space = LabelSpace(tuple(json.loads(metadata["names"])))
        shape = (len(space), len(space))
        pairs = [
            sparse.csr_array(tuple(tensors[f"{name}.{part}"] for part in PARTS), shape=shape)
            for name in PAIRS
        ]
        return cls(space, int(metadata["num_pictures"]), tensors["counts"], *pairs)


def count_labels(states: States, space: LabelSpace) -> LabelStatistics:
    """Count labels and pairs of labels, leaving unknown states out pair by pair.

    Parameters
    ----------
    states
        1 present, 0 absent, −1 unknown; shape (n, C), an int8 array or a SciPy sparse matrix
        that stores its −1 explicitly.
    space
        The labels, in column order.

    Returns
    -------
    LabelStatistics
        Exact counts.

    Raises
    ------
    LabelError
        If the columns do not fit the labels, or a state is none of the three.

    Notes
    -----
    For each block of pictures the marked states are multiplied, transposed, with themselves; rows
    of the product are shared out among threads. Time grows with the sum over pictures of the
    squared number of labels. The sums of one kind of pairs at a time, 4 C² bytes, are dense
    while they grow.

    Conditional probabilities of this kind were put to use by ML-GCN [1]_; leaving out the
    unknown keeps them unbiased where labels are missing at random.

    References
    ----------
    .. [1] Chen et al., "Multi-label image recognition with graph convolutional networks",
       CVPR 2019.

    Examples
    --------
    >>> space = LabelSpace(("cat", "dog"))
    >>> statistics = count_labels(np.array([[1, 1], [1, 0], [1, -1]], dtype=np.int8), space)
    >>> statistics.counts.tolist(), statistics.conditional[1, 0]  # P(dog | cat): 1 of 2 known
    ([3, 1], np.float64(0.5))
    """
    if states.ndim != 2 or states.shape[1] != len(space):
        raise LabelError(
            f"label states of shape {states.shape} do not fit {len(space)} labels: "
            "give one row a picture and one column a label"
        )
    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        together = _count_pairs(states, PRESENT, PRESENT, pool)
        hidden = _count_pairs(states, UNKNOWN, PRESENT, pool)
        unknown = _count_pairs(states, UNKNOWN, UNKNOWN, pool)
    counts = together.diagonal().astype(np.int64)
    together.setdiag(0)
    together.eliminate_zeros()
    return LabelStatistics(space, int(states.shape[0]), counts, together, hidden, unknown)


def states_equal(states: States, state: int) -> sparse.csr_array:
    """Mark where the label state is a given one other than absent.

    Parameters
    ----------
    states
        Label states as in `count_labels`; shape (n, C).
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
    rows = sparse.csr_array(states)
    if not rows.has_canonical_format:
        rows = rows.copy()  # the conversion may share memory with the caller
        rows.sum_duplicates()
    if not np.isin(rows.data, (PRESENT, ABSENT, UNKNOWN)).all():
        raise LabelError(
            "a label state is neither 1 (present), 0 (absent) nor -1 (unknown): recode the labels"
        )
    marked = (rows.data == state).astype(np.int32)
    marks = sparse.csr_array(
        (marked, rows.indices.copy(), rows.indptr.copy()), shape=rows.shape
    )  # copied, because the next line edits in place
    marks.eliminate_zeros()
    return marks


def _count_pairs(
    states: States, first: int, second: int, pool: ThreadPoolExecutor
) -> sparse.csr_array:
    """Pictures in which label i is in the first state and label j in the second; shape (C, C)."""
    size = states.shape[1]
    sums = {
        start: np.zeros((min(BLOCK_LABELS, size - start), size), dtype=np.int32)
        for start in range(0, size, BLOCK_LABELS)
    }
    for block in _row_blocks(states):
        left, right = states_equal(block, first), states_equal(block, second)
        if left.nnz and right.nnz:
            _add_product(sums, _handy(left.T.tocsr()), _handy(right), pool)
    return _join_rows(sums, pool)


def _add_product(sums: Blocks, left: Marks, right: Marks, pool: ThreadPoolExecutor) -> None:
    def add_rows(start: int) -> None:
        product: Any = left[start : start + BLOCK_LABELS] @ right
        sums[start] += product.toarray() if sparse.issparse(product) else product.astype(np.int32)

    list(pool.map(add_rows, sums))


def _handy(marks: sparse.csr_array) -> Marks:
    """Dense where that multiplies quicker; float32 counts as many pictures as a block exactly."""
    crowded = marks.nnz > DENSE * marks.shape[0] * marks.shape[1]
    return marks.toarray().astype(np.float32) if crowded else marks


def _join_rows(sums: Blocks, pool: ThreadPoolExecutor) -> sparse.csr_array:
    """Sparse rows of all blocks; each is given up once it is copied, to spare memory."""
    per_row = [np.count_nonzero(block, axis=1) for block in sums.values()]
    ends = np.concatenate([[0], *per_row]).cumsum()
    indptr = ends.astype(np.int32 if ends[-1] < 2**31 else np.int64)
    data, indices = np.empty(ends[-1], np.int32), np.empty(ends[-1], indptr.dtype)

    def copy_rows(start: int) -> None:
        block = sums.pop(start)
        rows = slice(ends[start], ends[start + len(block)])
        places = np.flatnonzero(block)
        data[rows], indices[rows] = block.ravel()[places], places % block.shape[1]

    size = len(ends) - 1
    list(pool.map(copy_rows, list(sums)))
    return sparse.csr_array((data, indices, indptr), shape=(size, size))


def _row_blocks(states: States) -> Iterator[sparse.csr_array]:
    rows = sparse.csr_array(states) if sparse.issparse(states) else states
    stored = int(rows.indptr[-1]) if isinstance(rows, sparse.csr_array) else rows.size
    step = max(1, BLOCK_STATES * states.shape[0] // max(1, stored))
    for start in range(0, states.shape[0], step):
        yield sparse.csr_array(rows[start : start + step])


def _dense(pairs: sparse.csr_array) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = pairs.toarray().astype(np.int64)
    return counts


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)
    return ratio

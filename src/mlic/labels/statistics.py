"""Label statistics: how often labels occur, and occur together, where they are known."""

from __future__ import annotations

import json
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

BLOCK_ROWS = 1 << 14  # bounds the working memory; float32 counts so many exactly
COUNTS = ("counts", "known", "cooccurrence", "support")


@dataclass(frozen=True, eq=False)
class LabelStatistics:
    """Counts of labels and of pairs of labels over a set of pictures.

    Parameters
    ----------
    space
        The labels, in the order of every axis below.
    num_pictures
        Number of pictures counted.
    counts
        Pictures in which a label is present; shape (C,), int64.
    known
        Pictures in which both labels are present or absent, neither unknown; on the diagonal,
        those in which the one label is; shape (C, C), int64.
    cooccurrence
        Pictures in which both labels are present, zero diagonal; shape (C, C), int64.
    support
        ``support[i, j]``: pictures in which j is present and i is known; shape (C, C), int64.

    Raises
    ------
    LabelError
        If a shape does not fit the labels.
    """

    space: LabelSpace
    num_pictures: int
    counts: NDArray[np.int64]
    known: NDArray[np.int64]
    cooccurrence: NDArray[np.int64]
    support: NDArray[np.int64]

    def __post_init__(self) -> None:
        size = len(self.space)
        for name in COUNTS:
            shape = (size,) if name == "counts" else (size, size)
            if getattr(self, name).shape != shape:
                raise LabelError(
                    f"label statistics: '{name}' has shape {getattr(self, name).shape} but "
                    f"{size} labels need {shape}; count the labels again"
                )

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
        return _ratio(self.cooccurrence * self.known, self.support * self.support.T)

    def to_tensors(self) -> tuple[dict[str, NDArray[np.int64]], dict[str, str]]:
        """Arrays and text metadata, fit for one safetensors file."""
        tensors = {name: np.ascontiguousarray(getattr(self, name)) for name in COUNTS}
        names = json.dumps(list(self.space.names), ensure_ascii=False)
        return tensors, {"names": names, "num_pictures": str(self.num_pictures)}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, NDArray[np.int64]], metadata: Mapping[str, str]
    ) -> LabelStatistics:
        """Statistics from what `to_tensors` gave.

        Raises
        ------
        DataError
            If an array or a metadata entry is missing.
        """
        wanted = {*COUNTS, "names", "num_pictures"}
        missing = wanted - set(tensors) - set(metadata)
        if missing:
            raise DataError(
                f"the label statistics lack {', '.join(sorted(missing))}: count the labels again"
            )
        space = LabelSpace(tuple(json.loads(metadata["names"])))
        arrays = {name: np.asarray(tensors[name], dtype=np.int64) for name in COUNTS}
        return cls(space, int(metadata["num_pictures"]), **arrays)


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
    size = len(space)
    together = np.zeros((size, size), dtype=np.int64)
    hidden = np.zeros((size, size), dtype=np.int64)  # j present, i unknown
    neither = np.zeros((size, size), dtype=np.int64)  # both unknown
    for block in _row_blocks(states):
        present, missing = states_equal(block, PRESENT), states_equal(block, UNKNOWN)
        together += (present.T @ present).toarray()
        if missing.nnz:
            hidden += (missing.T @ present).toarray()
            dense = missing.toarray().astype(np.float32)  # unknown states may be most of all
            neither += (dense.T @ dense).astype(np.int64)
    counts = together.diagonal().copy()
    np.fill_diagonal(together, 0)
    num_pictures = int(states.shape[0])
    unknown = neither.diagonal()
    known = num_pictures - unknown - unknown[:, None] + neither
    return LabelStatistics(space, num_pictures, counts, known, together, counts - hidden)


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


def _row_blocks(states: States) -> Iterator[sparse.csr_array]:
    rows = sparse.csr_array(states) if sparse.issparse(states) else states
    for start in range(0, states.shape[0], BLOCK_ROWS):
        yield sparse.csr_array(rows[start : start + BLOCK_ROWS])


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)
    return ratio

"""Label statistics: counts of labels and label pairs, over the images in which they are known."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mlic.errors import DataError, LabelError
from mlic.labels.co_occurrence import States, count_states
from mlic.labels.space import LabelSpace

__all__ = ["LabelStatistics", "count_blocks", "count_labels"]

PAIRS = ("together", "hidden", "unknown")  # fields of LabelStatistics with a count for each pair
CSR_ARRAYS = ("data", "indices", "indptr")


@dataclass(frozen=True, eq=False)
class LabelStatistics:
    """Counts of labels and of pairs of labels over a set of images.

    Counts of pairs are sparse, so that memory grows with the number of observed pairs and not with
    C². The properties below return dense matrices, for up to some thousand labels.

    Parameters
    ----------
    space
        The labels, in the order of every axis below.
    num_images
        Number of images counted.
    counts
        Images in which a label is present; shape (C,), int64.
    together
        Images in which both labels are present, with an empty diagonal; shape (C, C), sparse rows
        of int32.
    hidden
        ``hidden[i, j]``: images in which j is present and i is unknown; same format.
    unknown
        Images in which both labels are unknown, and on the diagonal the images in which the label
        is unknown; same format.

    Raises
    ------
    LabelError
        If a shape does not match the number of labels.
    """

    space: LabelSpace
    num_images: int
    counts: NDArray[np.int64]
    together: sparse.csr_array
    hidden: sparse.csr_array
    unknown: sparse.csr_array

    def __post_init__(self) -> None:
        size = len(self.space)
        for name in ("counts", *PAIRS):
            found, expected = getattr(self, name).shape, (size,) * (1 if name == "counts" else 2)
            if found != expected:
                raise LabelError(
                    f"label statistics: '{name}' has shape {found} but {size} labels need "
                    f"{expected}; count the labels again",
                    name=name,
                    found=found,
                    expected=expected,
                )

    @property
    def cooccurrence(self) -> NDArray[np.int64]:
        """Images in which both labels are present, zero diagonal; shape (C, C), int64."""
        return _dense(self.together)

    @property
    def known(self) -> NDArray[np.int64]:
        """Images in which both labels are known; shape (C, C), int64.

        The diagonal counts the images in which the label is known.
        """
        both, alone = _dense(self.unknown), self.unknown.diagonal().astype(np.int64)
        # inclusion-exclusion: all images, less those in which one label is unknown or the other
        return np.asarray(self.num_images - alone - alone[:, None] + both)

    @property
    def support(self) -> NDArray[np.int64]:
        """``support[i, j]``: images with j present and i known; shape (C, C), int64."""
        return self.counts - _dense(self.hidden)

    @property
    def conditional(self) -> NDArray[np.float64]:
        """P[i, j] = P(i present | j present, i known), 0 without such images; shape (C, C)."""
        return _ratio(self.cooccurrence, self.support)

    @property
    def lift(self) -> NDArray[np.float64]:
        """P(i, j) / (P(i) P(j)) over the images in which both labels are known; shape (C, C).

        It is 1 for independent labels, and 0 for labels that never occur together and on the
        diagonal. All three probabilities are estimated from the same images, so that the lift is
        symmetric and unknown states do not bias it.
        """
        # int64, because products of int32 counts would overflow from 50,000 images on
        support = self.support
        return _ratio(self.cooccurrence * self.known, support * support.T)

    def subset(self, space: LabelSpace) -> LabelStatistics:
        """Restrict the statistics to some of the labels, in the order of the new space.

        A label that was not counted raises a `LabelError`.
        """
        columns = self.space.indices(space.names)
        pairs = []
        for name in PAIRS:
            matrix = getattr(self, name)[columns][:, columns]
            matrix.sort_indices()  # selecting columns in another order leaves rows unsorted
            pairs.append(matrix)
        return LabelStatistics(space, self.num_images, self.counts[columns], *pairs)

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        """Return arrays and text metadata for one safetensors file."""
        # safetensors stores the memory of an array as it is, so it must be contiguous
        tensors = {
            f"{name}.{part}": np.ascontiguousarray(getattr(getattr(self, name), part))
            for name in PAIRS
            for part in CSR_ARRAYS
        }
        names = json.dumps(self.space.names, ensure_ascii=False)
        about = {"names": names, "num_images": str(self.num_images)}
        return {"counts": self.counts, **tensors}, about

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
    ) -> LabelStatistics:
        """Create statistics from the result of `to_tensors`; a missing entry is a `DataError`."""
        arrays = {f"{name}.{part}" for name in PAIRS for part in CSR_ARRAYS}
        missing = ({"counts", "names", "num_images"} | arrays) - set(tensors) - set(metadata)
        if missing:
            raise DataError(
                f"the label statistics lack {', '.join(sorted(missing))}: count the labels again",
                name=min(missing),
            )
        space = LabelSpace(tuple(json.loads(metadata["names"])))
        shape = (len(space), len(space))
        pairs = [
            sparse.csr_array(tuple(tensors[f"{name}.{part}"] for part in CSR_ARRAYS), shape=shape)
            for name in PAIRS
        ]
        return cls(space, int(metadata["num_images"]), tensors["counts"], *pairs)


def count_labels(states: States, space: LabelSpace) -> LabelStatistics:
    """Count labels and pairs of labels; unknown states are excluded separately for each pair.

    ML-GCN [1]_ uses conditional probabilities like those of the result. Excluding unknown states
    keeps them unbiased if labels are missing at random. See
    `mlic.labels.co_occurrence.count_states` for time and memory.

    Parameters
    ----------
    states
        1 present, 0 absent, −1 unknown; shape (n, C), an int8 array or a SciPy sparse matrix
        that stores its −1 explicitly.
    space
        The labels, in column order.

    Raises
    ------
    LabelError
        If the number of columns is not the number of labels, or a state is not 1, 0 or −1.

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
    return count_blocks([states], space)


def count_blocks(blocks: Iterable[States], space: LabelSpace) -> LabelStatistics:
    """Count as `count_labels` does, over images that are given in blocks.

    The result does not depend on the division into blocks, so that a label matrix of any length can
    be counted while it is read.

    Parameters
    ----------
    blocks
        States of different images, each as in `count_labels`.
    space
        The labels, in column order.

    Examples
    --------
    >>> blocks = (np.array([states], dtype=np.int8) for states in ([1, 1], [1, 0], [1, -1]))
    >>> count_blocks(blocks, LabelSpace(("cat", "dog"))).counts.tolist()
    [3, 1]
    """
    counted = count_states(_checked_shapes(blocks, space), len(space))
    # `count_states` leaves the diagonal empty; `known` needs it
    alone = sparse.diags_array(counted.unknown, dtype=np.int32)
    unknown = sparse.csr_array(counted.both_unknown + alone)
    unknown.eliminate_zeros()
    return LabelStatistics(
        space, counted.num_images, counted.present, counted.together, counted.hidden, unknown
    )


def _checked_shapes(blocks: Iterable[States], space: LabelSpace) -> Iterator[States]:
    for states in blocks:
        if states.ndim != 2 or states.shape[1] != len(space):
            raise LabelError(
                f"label states of shape {states.shape} do not fit {len(space)} labels: "
                "give one row for each image and one column for each label",
                found=states.shape,
                expected=len(space),
            )
        yield states


def _dense(pairs: sparse.csr_array) -> NDArray[np.int64]:
    return np.asarray(pairs.toarray(), dtype=np.int64)


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """Divide; 0 where the denominator is 0."""
    return np.asarray(np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0))

"""Label embeddings: a vector a label, from word vectors or from the co-occurrence graph."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlic.errors import DataError, LabelError, ParameterError
from mlic.labels.space import LabelSpace
from mlic.labels.word_vectors import read_glove

if TYPE_CHECKING:
    from mlic.labels.options import EmbeddingOptions
    from mlic.labels.statistics import LabelStatistics

__all__ = ["LabelEmbeddings", "embed_labels", "spectral_vectors"]

_EXPONENT = 0.5  # of the co-occurrence graph, as for CGP


@dataclass(frozen=True, eq=False)
class LabelEmbeddings:
    """Given vectors of labels.

    Parameters
    ----------
    space
        The labels, in row order.
    vectors
        A row a label; shape (C, d), float32. Of the source ``learned`` nothing is given and d
        is 0: every model draws and learns its own.
    source
        As in `mlic.labels.options.EmbeddingOptions`.

    Raises
    ------
    LabelError
        If there is not a row of finite numbers for every label.

    Examples
    --------
    >>> given = LabelEmbeddings(LabelSpace(("cat", "dog")), [[1, 0], [0, 1]], "glove")
    >>> given.subset(LabelSpace(("dog",))).vectors
    array([[0., 1.]], dtype=float32)
    """

    space: LabelSpace
    vectors: NDArray[np.float32]
    source: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "vectors", np.ascontiguousarray(self.vectors, dtype=np.float32))
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.space):
            raise LabelError(
                f"label embeddings of shape {self.vectors.shape} do not fit {len(self.space)} "
                "labels: give one row a label"
            )
        broken = np.flatnonzero(~np.isfinite(self.vectors).all(axis=1))
        if len(broken):
            raise LabelError(
                f"the embedding of label '{self.space.names[broken[0]]}' is not all finite: "
                "correct its vector"
            )

    def subset(self, space: LabelSpace) -> LabelEmbeddings:
        """Embeddings of some of the labels, joined by name.

        Raises
        ------
        LabelError
            If a label has none.
        """
        rows = self.space.indices(space.names)
        return LabelEmbeddings(space, self.vectors[rows], self.source)

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits over labels, source and vectors."""
        digest = hashlib.sha256(f"{self.space.fingerprint}{self.source}".encode())
        digest.update(self.vectors.tobytes())
        return digest.hexdigest()[:16]

    def to_tensors(self) -> tuple[dict[str, NDArray[np.float32]], dict[str, str]]:
        """Arrays and text metadata, fit for one safetensors file."""
        names = json.dumps(list(self.space.names), ensure_ascii=False)
        return {"vectors": self.vectors}, {"names": names, "source": self.source}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, NDArray[np.float32]], metadata: Mapping[str, str]
    ) -> LabelEmbeddings:
        """Embeddings from what `to_tensors` gave.

        Raises
        ------
        DataError
            If an array or a metadata entry is missing.
        """
        missing = {"vectors", "names", "source"} - set(tensors) - set(metadata)
        if missing:
            raise DataError(
                f"the label embeddings lack {', '.join(sorted(missing))}: embed the labels again"
            )
        space = LabelSpace(tuple(json.loads(metadata["names"])))
        return cls(space, tensors["vectors"], metadata["source"])


def embed_labels(statistics: LabelStatistics, options: EmbeddingOptions) -> LabelEmbeddings:
    """Embed all labels as asked for.

    Parameters
    ----------
    statistics
        The labels; for ``spectral`` also their counts, of training images only.
    options
        Source, file and dimension.

    Returns
    -------
    LabelEmbeddings
        Of the source ``learned`` with vectors of no number.

    Raises
    ------
    ParameterError
        If the dimension is not the file's, or more than the graph has.
    LabelError
        If labels have no vector in the file.
    DataError
        If the file cannot be read.
    """
    space = statistics.space
    if options.source == "spectral":
        vectors = spectral_vectors(statistics, options.dimension)
    elif options.source == "glove":
        assert options.file is not None
        vectors = read_glove(Path(options.file), space.names, options.dimension)
    else:
        vectors = np.empty((len(space), 0), dtype=np.float32)
    return LabelEmbeddings(space, vectors, options.source)


def spectral_vectors(statistics: LabelStatistics, dimension: int) -> NDArray[np.float32]:
    """Smoothest coordinates of the labels on their co-occurrence graph: Laplacian eigenmaps.

    With S the co-occurrence affinity and D its degrees, the eigenvectors of
    I − D^(−1/2) S D^(−1/2) with the least eigenvalues, but for the trivial one D^(1/2) 1; every
    column is scaled to a mean square of 1, and its entry of largest size is positive.

    Parameters
    ----------
    statistics
        Counts of labels and pairs.
    dimension
        Number of eigenvectors, at most C − 1.

    Returns
    -------
    numpy.ndarray
        Shape (C, dimension), float32.

    Raises
    ------
    ParameterError
        If there are not as many eigenvectors.

    References
    ----------
    .. [1] Belkin and Niyogi, "Laplacian eigenmaps for dimensionality reduction and data
       representation", Neural Computation 15(6), 2003.

    Examples
    --------
    >>> from mlic.labels.statistics import count_labels
    >>> states = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], dtype=np.int8)
    >>> spectral_vectors(count_labels(states, LabelSpace(("a", "b", "c", "d"))), 1).T.tolist()
    [[1.0, 1.0, -1.0, -1.0]]
    """
    from scipy.sparse.csgraph import laplacian

    from mlic.labels.graph import affinity

    size = len(statistics.space)
    if dimension > size - 1:
        raise ParameterError(
            f"model.embeddings.dimension={dimension}: the graph of {size} labels has {size - 1} "
            f"spectral coordinates; set it to {size - 1} or less"
        )
    weights = affinity(statistics, "co", _EXPONENT)
    roots = np.sqrt(weights.sum(axis=1))
    trivial = roots / max(float(np.linalg.norm(roots)), np.finfo(float).tiny)
    # eigenvalues lie in [0, 2]: at 3 the trivial one comes last, also of a graph in pieces
    raised = laplacian(weights, normed=True) + 3 * np.outer(trivial, trivial)
    vectors = np.linalg.eigh(raised)[1][:, :dimension] * np.sqrt(size)
    # rounded, so that of two entries of one size the first decides everywhere
    largest = np.abs(vectors).round(6).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(dimension)])
    turned: NDArray[np.float32] = (vectors * signs).astype(np.float32)
    return turned

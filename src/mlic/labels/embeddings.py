"""Label embeddings: one vector for each label, from word vectors or the co-occurrence graph."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import laplacian

from mlic.errors import DataError, LabelError, ParameterError
from mlic.labels.graph import COOCCURRENCE_EXPONENT, affinity
from mlic.labels.options import EmbeddingOptions
from mlic.labels.space import LabelSpace
from mlic.labels.statistics import LabelStatistics
from mlic.labels.word_vectors import read_glove

__all__ = ["LabelEmbeddings", "embed_labels", "spectral_vectors"]


@dataclass(frozen=True, eq=False)
class LabelEmbeddings:
    """Fixed vectors of labels.

    Parameters
    ----------
    space
        The labels, in row order.
    vectors
        One row for each label; shape (C, d), float32. For the source ``learned`` d is 0, because
        every model initialises and learns its own vectors.
    source
        ``"learned"``, ``"glove"`` or ``"spectral"``, as in `mlic.labels.options.EmbeddingOptions`.

    Raises
    ------
    LabelError
        If the number of rows is not the number of labels, or a vector is not finite.

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
                "labels: give one row for each label",
                found=self.vectors.shape,
                expected=len(self.space),
            )
        broken = np.flatnonzero(~np.isfinite(self.vectors).all(axis=1))
        if len(broken):
            label = self.space.names[broken[0]]
            raise LabelError(
                f"the embedding of label '{label}' has values that are not finite: correct them",
                label=label,
            )

    def subset(self, space: LabelSpace) -> LabelEmbeddings:
        """Return the embeddings of some labels by name, or raise a `LabelError` if one has none."""
        rows = self.space.indices(space.names)
        return LabelEmbeddings(space, self.vectors[rows], self.source)

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with labels, source or vectors."""
        digest = hashlib.sha256(f"{self.space.fingerprint}{self.source}".encode())
        # the vectors are contiguous float32, so that equal embeddings have equal bytes
        digest.update(self.vectors.tobytes())
        return digest.hexdigest()[:16]

    def to_tensors(self) -> tuple[dict[str, NDArray[np.float32]], dict[str, str]]:
        """Return arrays and text metadata for one safetensors file."""
        names = json.dumps(self.space.names, ensure_ascii=False)
        return {"vectors": self.vectors}, {"names": names, "source": self.source}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, NDArray[np.float32]], metadata: Mapping[str, str]
    ) -> LabelEmbeddings:
        """Create embeddings from the result of `to_tensors`; a missing entry is a `DataError`."""
        missing = {"vectors", "names", "source"} - set(tensors) - set(metadata)
        if missing:
            raise DataError(
                f"the label embeddings lack {', '.join(sorted(missing))}: embed the labels again",
                name=min(missing),
            )
        space = LabelSpace(tuple(json.loads(metadata["names"])))
        return cls(space, tensors["vectors"], metadata["source"])


def embed_labels(statistics: LabelStatistics, options: EmbeddingOptions) -> LabelEmbeddings:
    """Embed all labels as the options say; see `read_glove` and `spectral_vectors` for errors."""
    space = statistics.space
    if options.source == "spectral":
        vectors = spectral_vectors(statistics, options.dimension)
    elif options.source == "glove":
        assert options.file is not None  # checked by EmbeddingOptions
        vectors = read_glove(Path(options.file), space.names, options.dimension)
    else:
        # learned: every model initialises its own vectors
        vectors = np.empty((len(space), 0), dtype=np.float32)
    return LabelEmbeddings(space, vectors, options.source)


def spectral_vectors(statistics: LabelStatistics, dimension: int) -> NDArray[np.float32]:
    """Laplacian eigenmaps [1]_: the smoothest coordinates of labels on the co-occurrence graph.

    With the co-occurrence affinity S and its diagonal matrix of degrees D, these are the
    eigenvectors of I − D^(−1/2) S D^(−1/2) with the smallest eigenvalues, without the trivial
    one D^(1/2) 1. Every column is scaled to a mean square of 1, and its entry with the largest
    magnitude is positive.

    The result has the shape (C, dimension) and is float32; a dimension above C − 1 raises a
    `ParameterError`.

    References
    ----------
    .. [1] Belkin and Niyogi, "Laplacian eigenmaps for dimensionality reduction and data
       representation", Neural Computation 15(6), 2003.
    """
    size = len(statistics.space)
    if dimension > size - 1:
        raise ParameterError(
            f"model.embeddings.dimension={dimension}: the graph of {size} labels has {size - 1} "
            f"spectral coordinates; set it to {size - 1} or less",
            parameter="model.embeddings.dimension",
            value=dimension,
            expected=size - 1,
        )
    weights = affinity(statistics, "co", COOCCURRENCE_EXPONENT)
    roots = np.sqrt(weights.sum(axis=1))
    trivial = roots / max(float(np.linalg.norm(roots)), np.finfo(float).tiny)
    # Eigenvalues lie in [0, 2]. Raising the trivial one to 3 puts it last, even if the graph is
    # disconnected and the eigenvalue 0 occurs several times.
    raised = laplacian(weights, normed=True) + 3 * np.outer(trivial, trivial)
    vectors = np.linalg.eigh(raised)[1][:, :dimension] * np.sqrt(size)
    # rounded, so that the first of several equal magnitudes decides the sign on every machine
    largest = np.abs(vectors).round(6).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(dimension)])
    return np.asarray(vectors * signs, dtype=np.float32)

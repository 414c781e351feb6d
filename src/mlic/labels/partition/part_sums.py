"""What a label or a part has of affinity, and to whom: the sums that every search keeps."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

__all__ = [
    "EPSILON",
    "Links",
    "Membership",
    "Weights",
    "held",
    "part_links",
    "part_sums",
    "rows_of",
]

Membership: TypeAlias = NDArray[np.intp]
Links: TypeAlias = NDArray[np.float64]
Weights: TypeAlias = NDArray[np.float64] | sparse.csr_array

EPSILON = 1e-12


def part_links(weights: Weights, membership: Membership, num_parts: int) -> Links:
    """Affinity of every part to every label.

    Parameters
    ----------
    weights
        Affinity, symmetric, an array or sparse rows; shape (C, C).
    membership
        Part of every label, 0 … K − 1; shape (C,).
    num_parts
        Number of parts K.

    Returns
    -------
    numpy.ndarray
        A row a part, so that a change of one part is one of neighbouring numbers; shape (K, C).

    Examples
    --------
    >>> part_links(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 1]), 2)
    array([[0., 1.],
           [1., 0.]])
    """
    if isinstance(weights, np.ndarray):
        return np.ascontiguousarray((weights @ np.eye(num_parts)[membership]).T)
    size, kind = len(membership), weights.indices.dtype  # another would make SciPy copy the weights
    ends = np.arange(size + 1, dtype=kind)
    marks = sparse.csr_array((np.ones(size), membership.astype(kind), ends), (size, num_parts))
    links: Links = np.ascontiguousarray((weights @ marks).toarray().T)
    return links


def part_sums(links: Links, membership: Membership) -> tuple[Links, Links]:
    """Affinity inside each part, both directions, and volume of each part.

    Parameters
    ----------
    links
        Of `part_links`; shape (K, C).
    membership
        Part of every label; shape (C,).

    Returns
    -------
    inside, volume : numpy.ndarray
        Shape (K,) each.
    """
    between = links @ np.eye(len(links))[membership]
    return between.diagonal().copy(), between.sum(axis=0)


def held(inside: Links, volume: Links) -> Links:
    """Share of a part's volume that stays inside; 0 where there is no volume."""
    share: Links = np.divide(inside, volume, out=np.zeros(inside.shape), where=volume > EPSILON)
    return share


def rows_of(weights: Weights, labels: NDArray[np.intp]) -> Links:
    """Affinity of some labels to all; shape (len(labels), C), dense."""
    if isinstance(weights, np.ndarray):
        return weights[labels]
    rows = np.zeros((len(labels), weights.shape[1]))
    # SciPy's own selection of rows takes ten times as long for so few of them
    for row, label in zip(rows, labels.tolist(), strict=True):
        stored = slice(weights.indptr[label], weights.indptr[label + 1])
        row[weights.indices[stored]] = weights.data[stored]
    return rows

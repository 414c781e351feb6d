"""Sums of affinity between parts and labels, which every local search keeps up to date."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

__all__ = [
    "EPSILON",
    "Floats",
    "Membership",
    "Weights",
    "internal_ratio",
    "part_affinity",
    "part_sums",
    "rows_of",
]

Membership: TypeAlias = NDArray[np.intp]
Floats: TypeAlias = NDArray[np.float64]
Weights: TypeAlias = NDArray[np.float64] | sparse.csr_array

EPSILON = 1e-12  # volumes and improvements below this are rounding errors


def part_affinity(weights: Weights, membership: Membership, num_parts: int) -> Floats:
    """Sum the affinity of every label to the labels of every part.

    Parameters
    ----------
    weights
        Affinity, symmetric, an array or sparse rows; shape (C, C).
    membership
        Part of every label, 0 … K − 1; shape (C,).

    Returns
    -------
    numpy.ndarray
        One row for each part, so that changing a part writes to neighbouring memory; shape
        (K, C), float64.
    """
    if isinstance(weights, np.ndarray):
        return np.ascontiguousarray((weights @ np.eye(num_parts)[membership]).T)
    size = len(membership)
    index_type = weights.indices.dtype  # with another one, SciPy would copy the weights
    ends = np.arange(size + 1, dtype=index_type)
    columns = membership.astype(index_type)
    marks = sparse.csr_array((np.ones(size), columns, ends), (size, num_parts))
    return np.ascontiguousarray((weights @ marks).toarray().T)


def part_sums(affinity: Floats, membership: Membership) -> tuple[Floats, Floats]:
    """Sum `part_affinity` inside each part, in both directions, and over each part (its volume).

    Both results have the shape (K,).
    """
    # between[i, j] is the affinity of part i to part j; on the diagonal every pair counts twice
    between = affinity @ np.eye(len(affinity))[membership]
    return between.diagonal().copy(), between.sum(axis=0)


def internal_ratio(inside: Floats, volume: Floats) -> Floats:
    """Divide the affinity inside parts by their volume; 0 where a part has no volume."""
    return np.divide(inside, volume, out=np.zeros(inside.shape), where=volume > EPSILON)


def rows_of(weights: Weights, labels: NDArray[np.intp]) -> Floats:
    """Copy the affinity of some labels to all labels; shape (len(labels), C), dense."""
    if isinstance(weights, np.ndarray):
        return weights[labels]
    rows = np.zeros((len(labels), weights.shape[1]))
    # For so few rows SciPy's own selection takes ten times as long.
    for row, label in zip(rows, labels.tolist(), strict=True):
        stored = slice(weights.indptr[label], weights.indptr[label + 1])
        row[weights.indices[stored]] = weights.data[stored]
    return rows

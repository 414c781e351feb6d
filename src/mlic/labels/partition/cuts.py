"""Cutting an affinity matrix into parts: normalised cut, and balanced max-cut."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, eigsh
from sklearn.cluster import KMeans

from mlic.labels.partition.local_moves import Moves, Swaps, fill_parts, shuffle_some, throw_some
from mlic.labels.partition.local_search import effort, improve
from mlic.labels.partition.part_sums import (
    EPSILON,
    Membership,
    Weights,
    held,
    part_links,
    part_sums,
)

__all__ = ["balanced_max_cut", "cut_value", "equal_sizes", "inside_mass", "normalised_cut"]

STARTS = 16  # first assignments for up to 100 labels, fewer beyond
# Up to so many labels a dense matrix takes little room (32 MB) and is quicker to read row by row.
DENSE_LABELS = 2000
EXACT_LABELS = 500  # up to which all eigenvectors of a matrix are found as soon as a few
TOLERANCE = 0.01  # of the eigenvalues of more labels: a first assignment needs no better


def cut_value(weights: Weights, membership: Membership) -> float:
    """Normalised cut, Σ over parts of cut(part, rest) / volume(part) (Shi and Malik, 2000).

    Parameters
    ----------
    weights
        Affinity, symmetric, zero diagonal, an array or sparse; shape (C, C).
    membership
        Part of every label, 0 … K − 1; shape (C,).

    Returns
    -------
    float
        0 for one part. A part of labels without any affinity counts as wholly cut, 1:
        nothing keeps it together.

    Examples
    --------
    >>> pair = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> cut_value(pair, np.array([0, 0])), cut_value(pair, np.array([0, 1]))
    (0.0, 2.0)
    """
    if not membership.any():
        return 0.0
    links = part_links(weights, membership, int(membership.max()) + 1)
    return float(np.sum(1.0 - held(*part_sums(links, membership))))


def inside_mass(weights: Weights, membership: Membership) -> float:
    """Share of all affinity that lies between labels of one part; 0 where there is none.

    Parameters
    ----------
    weights
        Symmetric, zero diagonal, an array or sparse; shape (C, C).
    membership
        Part of every label; shape (C,).
    """
    edges = sparse.coo_array(weights)
    total = float(edges.data.sum())
    same = membership[edges.row] == membership[edges.col]
    return float(edges.data[same].sum()) / total if total > 0 else 0.0


def equal_sizes(num_labels: int, num_parts: int) -> list[int]:
    """Sizes of parts equal to within one, largest first.

    Examples
    --------
    >>> equal_sizes(80, 3)
    [27, 27, 26]
    """
    size, rest = divmod(num_labels, num_parts)
    return [size + 1] * rest + [size] * (num_parts - rest)


def normalised_cut(
    weights: Weights,
    num_parts: int,
    min_size: int,
    rng: np.random.Generator,
) -> Membership:
    """Partition with the least normalised cut found.

    Parameters
    ----------
    weights
        Affinity, symmetric, not negative, zero diagonal, an array or sparse; shape (C, C).
    num_parts
        Number of parts K.
    min_size
        Labels that every part has at least; K · min_size ≤ C.
    rng
        Source of all randomness.

    Returns
    -------
    numpy.ndarray
        Part of every label; shape (C,), intp.

    Notes
    -----
    Starts from spectral clusterings (Shi and Malik, 2000) and from random assignments; the cut
    itself chooses among them, after moves of single labels.
    """
    weights = _in_form(weights)
    size = weights.shape[0]

    def search(membership: Membership) -> Moves:
        """Start a local search from an assignment."""
        return Moves(weights, membership, num_parts, min_size)

    def shake(membership: Membership) -> Membership:
        """Throw some labels elsewhere."""
        return throw_some(weights, membership, num_parts, min_size, rng)

    points = _spectral_points(weights, num_parts, rng)
    starts = effort(STARTS, size)
    first = [_cluster(points, num_parts, rng) for _ in range(starts)]
    first += [_deal(size, num_parts, rng) for _ in range(starts // 2)]
    first = [fill_parts(weights, membership, num_parts, min_size) for membership in first]
    return improve(search, shake, first)


def balanced_max_cut(weights: Weights, num_parts: int, rng: np.random.Generator) -> Membership:
    """Parts equal in size to within one, with the least affinity found inside parts.

    Parameters
    ----------
    weights
        Affinity, symmetric, zero diagonal, an array or sparse; shape (C, C).
    num_parts
        Number of parts K.
    rng
        Source of all randomness.

    Returns
    -------
    numpy.ndarray
        Part of every label; shape (C,), intp.
    """
    weights = _in_form(weights)
    size = weights.shape[0]

    def search(membership: Membership) -> Swaps:
        """Start a local search from an assignment."""
        return Swaps(weights, membership, num_parts)

    def shake(membership: Membership) -> Membership:
        """Swap some labels."""
        return shuffle_some(membership, rng)

    starts = effort(STARTS, size)
    first = [_deal(size, num_parts, rng) for _ in range(starts)]
    return improve(search, shake, first)


def _in_form(weights: Weights) -> Weights:
    """Dense for few labels, sparse for many."""
    if weights.shape[0] > DENSE_LABELS:
        return sparse.csr_array(weights)
    return weights if isinstance(weights, np.ndarray) else weights.toarray()


def _spectral_points(
    weights: Weights, num_parts: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Rows of the leading eigenvectors of the normalised affinity, scaled; shape (C, K)."""
    degree = weights.sum(axis=1)
    scale = np.divide(1.0, np.sqrt(degree), out=np.zeros(degree.shape), where=degree > EPSILON)
    # k-means needs distinct points: labels without affinity all lie at the origin.
    points: NDArray[np.float64] = _leading(weights, scale, num_parts) * scale[:, None]
    return points + rng.normal(scale=1e-4 * (points.std() or 1.0), size=points.shape)


def _leading(weights: Weights, scale: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Eigenvectors of the largest eigenvalues of the scaled affinity; shape (C, count)."""
    size = len(scale)
    if not scale.any():
        return np.zeros((size, count))  # where there is nothing to iterate on
    if isinstance(weights, np.ndarray) and size <= EXACT_LABELS:
        scaled = scale[:, None] * weights * scale
        return np.asarray(eigh(scaled, subset_by_index=(size - count, size - 1))[1])
    normalised = LinearOperator(
        weights.shape, matvec=lambda vector: scale * (weights @ (scale * vector)), dtype=float
    )
    start = np.divide(1.0, scale, out=np.zeros(size), where=scale > 0)
    return np.asarray(eigsh(normalised, count, which="LA", tol=TOLERANCE, v0=start)[1])


def _cluster(points: NDArray[np.float64], num_parts: int, rng: np.random.Generator) -> Membership:
    means = KMeans(num_parts, n_init=1, random_state=int(rng.integers(2**31)))
    return np.asarray(means.fit_predict(points), dtype=np.intp)


def _deal(num_labels: int, num_parts: int, rng: np.random.Generator) -> Membership:
    """Deal labels at random into parts equal to within one."""
    return rng.permutation(np.arange(num_labels) % num_parts)

"""Cutting an affinity matrix into parts: normalised cut, and balanced max-cut."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, eigsh
from sklearn.cluster import KMeans

from mlic.labels.partition.local_moves import (
    MoveSearch,
    SwapSearch,
    fill_parts,
    perturb,
    perturb_balanced,
)
from mlic.labels.partition.local_search import improve, scaled_effort
from mlic.labels.partition.part_sums import EPSILON, Membership, Weights

__all__ = ["balanced_max_cut", "normalised_cut"]

STARTS = 16  # initial assignments for up to 100 labels, fewer for more labels
# Up to this size a dense matrix takes little memory (32 MB), and its rows are faster to read.
DENSE_LABELS = 2000
EXACT_LABELS = 500  # up to this size, computing all eigenvectors is as fast as computing a few
TOLERANCE = 0.01  # of the eigenvalues above that size: an initial assignment needs no better


def normalised_cut(
    weights: Weights, num_parts: int, min_size: int, rng: np.random.Generator
) -> Membership:
    """Search for the partition with the smallest normalised cut.

    The search starts from spectral clusterings (Shi and Malik, 2000) and from random assignments.
    Each is improved by moves of single labels, and the one with the smallest cut is returned.

    Parameters
    ----------
    weights
        Affinity, symmetric, not negative, zero diagonal, an array or sparse; shape (C, C).
    num_parts
        Number of parts K.
    min_size
        Smallest number of labels in a part; K · min_size ≤ C.
    rng
        Random generator, the only source of randomness.

    Returns
    -------
    numpy.ndarray
        Part of every label, 0 … K − 1; shape (C,), intp.
    """
    weights = _in_form(weights)
    size = weights.shape[0]
    points = _spectral_points(weights, num_parts, rng)
    starts = scaled_effort(STARTS, size)
    initial = [_cluster(points, num_parts, rng) for _ in range(starts)]
    initial += [_random_assignment(size, num_parts, rng) for _ in range(starts // 2)]
    return improve(
        lambda start: MoveSearch(weights, start, num_parts, min_size),
        lambda best: perturb(weights, best, num_parts, min_size, rng),
        [fill_parts(weights, membership, num_parts, min_size) for membership in initial],
    )


def balanced_max_cut(weights: Weights, num_parts: int, rng: np.random.Generator) -> Membership:
    """Search for parts of equal size with the smallest affinity inside parts.

    Sizes differ by at most one. The search starts from random assignments and swaps labels. The
    arguments and the result are as in `normalised_cut`.
    """
    weights = _in_form(weights)
    size = weights.shape[0]
    starts = scaled_effort(STARTS, size)
    return improve(
        lambda start: SwapSearch(weights, start, num_parts),
        lambda best: perturb_balanced(best, rng),
        [_random_assignment(size, num_parts, rng) for _ in range(starts)],
    )


def _in_form(weights: Weights) -> Weights:
    """Convert affinity to a dense array for few labels, and to sparse rows for many."""
    if weights.shape[0] > DENSE_LABELS:
        return sparse.csr_array(weights)
    return weights if isinstance(weights, np.ndarray) else weights.toarray()


def _spectral_points(
    weights: Weights, num_parts: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Rows of the leading eigenvectors of the normalised affinity, scaled; shape (C, K)."""
    degree = weights.sum(axis=1)
    scale = np.divide(1.0, np.sqrt(degree), out=np.zeros(degree.shape), where=degree > EPSILON)
    # Noise makes the points distinct for k-means: labels without affinity all lie at the origin.
    points: NDArray[np.float64] = _leading(weights, scale, num_parts) * scale[:, None]
    return points + rng.normal(scale=1e-4 * (points.std() or 1.0), size=points.shape)


def _leading(weights: Weights, scale: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Eigenvectors of the largest eigenvalues of the scaled affinity; shape (C, count)."""
    size = len(scale)
    if not scale.any():
        return np.zeros((size, count))  # ARPACK fails on a zero matrix
    if isinstance(weights, np.ndarray) and size <= EXACT_LABELS:
        scaled = scale[:, None] * weights * scale
        return np.asarray(eigh(scaled, subset_by_index=(size - count, size - 1))[1])
    normalised = LinearOperator(
        weights.shape, matvec=lambda vector: scale * (weights @ (scale * vector)), dtype=float
    )
    # A given start vector makes the result repeatable; this one is the leading eigenvector.
    start = np.divide(1.0, scale, out=np.zeros(size), where=scale > 0)
    return np.asarray(eigsh(normalised, count, which="LA", tol=TOLERANCE, v0=start)[1])


def _cluster(points: NDArray[np.float64], num_parts: int, rng: np.random.Generator) -> Membership:
    """Assign labels to parts by k-means on their spectral points."""
    means = KMeans(num_parts, n_init=1, random_state=int(rng.integers(2**31)))
    return np.asarray(means.fit_predict(points), dtype=np.intp)


def _random_assignment(num_labels: int, num_parts: int, rng: np.random.Generator) -> Membership:
    """Assign labels at random to parts whose sizes differ by at most one."""
    return rng.permutation(np.arange(num_labels) % num_parts)

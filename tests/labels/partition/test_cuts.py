from itertools import product

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

from mlic.labels.partition import cuts, local_search
from mlic.labels.partition.partitioning import balanced_sizes
from mlic.labels.partition.quality import coverage, cut_value


def random_affinity(size, seed):
    rng = np.random.default_rng(seed)
    weights = rng.random((size, size)) * (rng.random((size, size)) < 0.6)
    weights = (weights + weights.T) / 2
    np.fill_diagonal(weights, 0)
    return weights


def all_memberships(size, num_parts, allowed):
    for rest in product(range(num_parts), repeat=size - 1):
        membership = np.array((0, *rest))
        if allowed(sorted(np.bincount(membership, minlength=num_parts))):
            yield membership


@pytest.mark.parametrize(
    ("size", "num_parts", "seed"),
    [(4, 2, 0), (6, 3, 1), (8, 4, 803), (9, 2, 0), (9, 2, 1), (9, 3, 2), (9, 4, 3), (10, 2, 5)],
)
def test_normalised_cut_finds_the_optimum(size, num_parts, seed):
    weights = random_affinity(size, seed)
    candidates = all_memberships(size, num_parts, lambda sizes: sizes[0] >= 2)
    best = min(cut_value(weights, membership) for membership in candidates)
    found = cuts.normalised_cut(weights, num_parts, 2, np.random.default_rng(seed))
    assert cut_value(weights, found) == pytest.approx(best)


@pytest.mark.parametrize(
    ("size", "num_parts", "seed"),
    [(4, 2, 0), (6, 3, 1), (8, 4, 803), (9, 2, 0), (9, 3, 1), (9, 4, 2), (10, 2, 5)],
)
def test_balanced_max_cut_finds_the_optimum(size, num_parts, seed):
    weights = random_affinity(size, seed)
    sizes = sorted(balanced_sizes(size, num_parts))
    candidates = all_memberships(size, num_parts, lambda found: found == sizes)
    best = min(coverage(weights, membership) for membership in candidates)
    found = cuts.balanced_max_cut(weights, num_parts, np.random.default_rng(seed))
    assert sorted(np.bincount(found)) == sizes
    assert coverage(weights, found) == pytest.approx(best)


def planted_affinity(size, num_parts, seed):
    """Weights of a third of all pairs, four times as large inside planted groups."""
    rng = np.random.default_rng(seed)
    groups = rng.permutation(size) % num_parts
    weights = np.triu(rng.random((size, size)) * (rng.random((size, size)) < 0.3), 1)
    weights *= np.where(groups[:, None] == groups, 1.0, 0.25)
    return weights + weights.T, groups


def test_sparse_cuts_of_many_labels_are_as_good_as_dense_ones(monkeypatch):
    weights, groups = planted_affinity(300, 4, 0)
    dense = [cut(weights, seed=0) for cut in (cut_cgp, cut_dgp)]
    monkeypatch.setattr(cuts, "DENSE_LABELS", 10)
    monkeypatch.setattr(local_search, "LABELS_PER_CHANGE", 20)
    forbid_dense_squares(monkeypatch)
    edges = sparse.csr_array(weights)
    found = [cut(edges, seed=0) for cut in (cut_cgp, cut_dgp)]
    assert adjusted_rand_score(groups, found[0]) == adjusted_rand_score(groups, dense[0]) == 1.0
    least, reached = (coverage(weights, cut) for cut in (dense[1], found[1]))
    assert reached <= 1.01 * least and set(np.bincount(found[1])) == {75}


def cut_cgp(weights, seed):
    return cuts.normalised_cut(weights, 4, 2, np.random.default_rng(seed))


def cut_dgp(weights, seed):
    return cuts.balanced_max_cut(weights, 4, np.random.default_rng(seed))


def forbid_dense_squares(monkeypatch):
    """Fail if a square sparse matrix is converted to a dense one."""
    original = sparse.csr_array.toarray

    def toarray(matrix, *args, **options):
        assert matrix.shape[0] != matrix.shape[1], "a dense C × C matrix"
        return original(matrix, *args, **options)

    monkeypatch.setattr(sparse.csr_array, "toarray", toarray)

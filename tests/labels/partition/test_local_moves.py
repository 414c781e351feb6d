from itertools import product

import numpy as np
import pytest
from scipy import sparse

from mlic.labels.partition import local_search
from mlic.labels.partition.local_moves import (
    MoveSearch,
    SwapSearch,
    fill_parts,
    perturb,
    perturb_balanced,
)
from mlic.labels.partition.part_sums import part_affinity, rows_of
from mlic.labels.partition.quality import coverage, cut_value


def random_affinity(size, seed):
    rng = np.random.default_rng(seed)
    weights = rng.random((size, size)) * (rng.random((size, size)) < 0.6)
    weights = (weights + weights.T) / 2
    np.fill_diagonal(weights, 0)
    return weights


@pytest.mark.parametrize("a_change", [500, 5])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("kind", ["moves", "swaps"])
def test_values_updated_by_steps_equal_values_computed_anew(monkeypatch, kind, form, a_change):
    monkeypatch.setattr(local_search, "LABELS_PER_CHANGE", a_change)
    weights, membership = form(random_affinity(20, 5)), np.arange(20) % 4
    moving = kind == "moves"
    state = MoveSearch(weights, membership, 4, 2) if moving else SwapSearch(weights, membership, 4)
    steps = 0
    while state.step():
        steps += 1
        if moving:
            truth = cut_value(weights, state.membership)
        else:
            truth = coverage(weights, state.membership) * weights.sum() / 2
        assert state.value == pytest.approx(truth)
    assert steps >= (9 if a_change > 20 else 3) and np.bincount(state.membership).min() >= 2
    assert np.array_equal(membership, np.arange(20) % 4)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["moves", "swaps"])
def test_the_first_step_makes_the_best_change(kind, seed):
    weights, membership = random_affinity(12, seed), np.arange(12) % 3
    moving = kind == "moves"
    state = MoveSearch(weights, membership, 3, 2) if moving else SwapSearch(weights, membership, 3)
    best = np.inf
    for label, other in product(range(12), repeat=2):
        changed = membership.copy()
        changed[label] = membership[other]
        if not moving:
            changed[other] = membership[label]
        if not np.array_equal(changed, membership):
            value = cut_value if moving else coverage
            best = min(best, value(weights, changed))
    state.step()
    found = state.value if moving else state.value * 2 / weights.sum()
    assert found == pytest.approx(best)


def test_parts_of_the_smallest_size_lose_no_label():
    weights, membership = random_affinity(12, 3), np.arange(12) % 3
    assert not MoveSearch(weights, membership, 3, min_size=4).step()
    membership[0] = 1  # three, five and four labels
    state = MoveSearch(weights, membership, 3, min_size=4)
    assert state.step() and np.bincount(state.membership).min() >= 3
    assert set(membership[state.membership != membership]) == {1}


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_part_affinity_and_rows_of_dense_and_sparse_weights(form):
    weights, membership = random_affinity(20, 5), np.arange(20) % 4
    parts = [weights[membership == part].sum(axis=0) for part in range(4)]
    assert np.allclose(part_affinity(form(weights), membership, 4), parts)
    assert np.array_equal(rows_of(form(weights), np.array([7, 0])), weights[[7, 0]])


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_perturbations_keep_the_size_limits(form):
    weights, membership = form(random_affinity(20, 5)), np.arange(20) % 4
    for seed in range(20):
        rng = np.random.default_rng(seed)
        thrown, shuffled = (
            perturb(weights, membership, 4, 3, rng),
            perturb_balanced(membership, rng),
        )
        assert np.bincount(thrown, minlength=4).min() >= 3
        assert np.array_equal(np.bincount(shuffled), [5, 5, 5, 5])
        assert 0 < np.count_nonzero(shuffled != membership) <= 5
    filled = fill_parts(weights, np.zeros(20, dtype=np.intp), 4, 2)
    assert np.bincount(filled).tolist() == [14, 2, 2, 2]

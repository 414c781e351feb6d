from itertools import product

import numpy as np
import pytest
from scipy import sparse

from mlic.labels.partition import cuts, local_search
from mlic.labels.partition.local_moves import Moves, Swaps, fill_parts, shuffle_some, throw_some
from mlic.labels.partition.part_sums import part_links, rows_of


def random_affinity(size, seed):
    rng = np.random.default_rng(seed)
    weights = rng.random((size, size)) * (rng.random((size, size)) < 0.6)
    weights = (weights + weights.T) / 2
    np.fill_diagonal(weights, 0)
    return weights


@pytest.mark.parametrize("a_change", [500, 5])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("kind", ["moves", "swaps"])
def test_values_kept_while_stepping_are_true(monkeypatch, kind, form, a_change):
    monkeypatch.setattr(local_search, "LABELS_A_CHANGE", a_change)
    weights, membership = form(random_affinity(20, 5)), np.arange(20) % 4
    moving = kind == "moves"
    state = Moves(weights, membership, 4, 2) if moving else Swaps(weights, membership, 4)
    steps = 0
    while state.step():
        steps += 1
        if moving:
            truth = cuts.cut_value(weights, state.membership)
        else:
            truth = cuts.inside_mass(weights, state.membership) * weights.sum() / 2
        assert state.value == pytest.approx(truth)
    assert steps >= (9 if a_change > 20 else 3) and np.bincount(state.membership).min() >= 2
    assert np.array_equal(membership, np.arange(20) % 4)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["moves", "swaps"])
def test_the_first_step_is_the_best_there_is(kind, seed):
    weights, membership = random_affinity(12, seed), np.arange(12) % 3
    moving = kind == "moves"
    state = Moves(weights, membership, 3, 2) if moving else Swaps(weights, membership, 3)
    best = np.inf
    for label, other in product(range(12), repeat=2):
        changed = membership.copy()
        changed[label] = membership[other]
        if not moving:
            changed[other] = membership[label]
        if not np.array_equal(changed, membership):
            value = cuts.cut_value if moving else cuts.inside_mass
            best = min(best, value(weights, changed))
    state.step()
    found = state.value if moving else state.value * 2 / weights.sum()
    assert found == pytest.approx(best)


def test_labels_of_parts_of_the_least_size_stay():
    weights, membership = random_affinity(12, 3), np.arange(12) % 3
    assert not Moves(weights, membership, 3, min_size=4).step()
    membership[0] = 1  # three, five and four labels
    state = Moves(weights, membership, 3, min_size=4)
    assert state.step() and np.bincount(state.membership).min() >= 3
    assert set(membership[state.membership != membership]) == {1}


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_links_and_rows_in_either_form(form):
    weights, membership = random_affinity(20, 5), np.arange(20) % 4
    parts = [weights[membership == part].sum(axis=0) for part in range(4)]
    assert np.allclose(part_links(form(weights), membership, 4), parts)
    assert np.array_equal(rows_of(form(weights), np.array([7, 0])), weights[[7, 0]])


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_perturbations_keep_what_must_be_kept(form):
    weights, membership = form(random_affinity(20, 5)), np.arange(20) % 4
    for seed in range(20):
        rng = np.random.default_rng(seed)
        thrown, shuffled = (
            throw_some(weights, membership, 4, 3, rng),
            shuffle_some(membership, rng),
        )
        assert np.bincount(thrown, minlength=4).min() >= 3
        assert np.array_equal(np.bincount(shuffled), [5, 5, 5, 5])
        assert 0 < np.count_nonzero(shuffled != membership) <= 5
    filled = fill_parts(weights, np.zeros(20, dtype=np.intp), 4, 2)
    assert np.bincount(filled).tolist() == [14, 2, 2, 2]

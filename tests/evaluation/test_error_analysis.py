import numpy as np
import pytest

from mlic.evaluation.error_analysis import claim_as_many, pair_errors


@pytest.fixture
def example():
    rng = np.random.default_rng(0)
    states = rng.choice([-1, 0, 1], p=[0.1, 0.6, 0.3], size=(60, 7)).astype(np.int8)
    claims = {name: rng.random(states.shape) < 0.4 for name in ("baseline", "student")}
    return states, claims


def test_counts_are_those_of_loops(example):
    states, claims = example
    table = pair_errors(claims, states, most=100)
    pairs = list(zip(table["first"].tolist(), table["second"].tolist(), strict=True))
    assert len(set(pairs)) == len(pairs) and all(i < j for i, j in pairs)
    for row, (i, j) in enumerate(pairs):
        assert table["together"][row] == sum(s[i] == s[j] == 1 for s in states)
        for model, claimed in claims.items():
            known = claimed & (states != -1)
            assert table[f"{model}_together"][row] == sum(c[i] and c[j] for c in known)
            taken = sum(
                bool(c[b] and not c[a])
                for s, c in zip(states, known, strict=True)
                for a, b in ((i, j), (j, i))
                if s[a] == 1 and s[b] == 0
            )
            assert table[f"{model}_confused"][row] == taken


def test_the_worst_come_first_and_few_are_kept(example):
    states, claims = example
    every, few = pair_errors(claims, states, most=100), pair_errors(claims, states, most=2)
    errors = [
        np.maximum(abs(every[f"{m}_together"] - every["together"]), every[f"{m}_confused"])
        for m in claims
    ]
    assert (np.diff(np.max(errors, axis=0)) <= 0).all()
    assert 2 <= len(few["first"]) <= 8
    assert few["first"][0] == every["first"][0] and few["second"][0] == every["second"][0]


def test_a_model_without_errors_has_no_row(example):
    states, _ = example
    table = pair_errors({"student": states == 1}, states, most=5)
    assert all(len(column) == 0 for column in table.values())


def test_each_label_is_claimed_as_often_as_it_is_there(example):
    states, _ = example
    scores = np.random.default_rng(1).integers(0, 4, states.shape).astype(np.float32)  # with ties
    claims = claim_as_many(scores, states)
    np.testing.assert_array_equal(claims.sum(axis=0), (states == 1).sum(axis=0))
    assert not claims[states == -1].any()
    for label in range(states.shape[1]):
        known = states[:, label] != -1
        left = scores[known & ~claims[:, label], label]
        assert scores[claims[:, label], label].min() >= left.max()
    np.testing.assert_array_equal(claim_as_many(5 * scores - 3, states), claims)

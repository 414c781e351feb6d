import numpy as np
import pytest

from mlic.evaluation.label_issues import find_label_issues


@pytest.fixture
def planted():
    """Probabilities that tell the truth, and states of which some were turned over."""
    rng = np.random.default_rng(0)
    truth = rng.random((400, 3)) < 0.3
    turned = rng.random(truth.shape) < 0.03
    logits = rng.normal(np.where(truth, 2, -2), 1)
    return 1 / (1 + np.exp(-logits)), (truth ^ turned).astype(np.int8), turned


def test_planted_mistakes_are_found(planted):
    probabilities, states, turned = planted
    rows, columns, confidence = find_label_issues(probabilities, states)
    assert turned[rows, columns][: turned.sum() // 2].mean() > 0.9
    assert (np.diff(confidence) >= 0).all() and confidence.max() < 0.5
    given = np.where(states == 1, probabilities, 1 - probabilities)
    np.testing.assert_array_equal(confidence, given[rows, columns])


def test_issues_are_the_confident_joint_off_its_diagonal(planted):
    """Counted label by label, as Northcutt et al. (2021) define it for two classes."""
    probabilities, states, _ = planted
    rows, columns, _ = find_label_issues(probabilities, states)
    found = set(zip(rows.tolist(), columns.tolist(), strict=True))
    expected = set()
    for label in range(3):
        both = np.stack([1 - probabilities[:, label], probabilities[:, label]], axis=1)
        given = states[:, label]
        thresholds = [both[given == k, k].mean() for k in (0, 1)]
        for row, (p, own) in enumerate(zip(both, given, strict=True)):
            confident = [k for k in (0, 1) if p[k] >= thresholds[k]]
            if confident and max(confident, key=lambda k: p[k]) != own:
                expected.add((row, label))
    assert found == expected and found


def test_what_is_unknown_or_has_no_other_answer_is_no_issue():
    probabilities = np.full((4, 2), 0.99)
    states = np.array([[-1, 0], [-1, 0], [1, 0], [0, 0]])
    rows, columns, _ = find_label_issues(probabilities, states)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(3, 0)]

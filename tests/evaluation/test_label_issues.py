import numpy as np
import pytest

from mlic.evaluation.label_issues import find_label_issues


@pytest.fixture
def planted():
    """Probabilities that follow the truth, and states of which some are flipped."""
    rng = np.random.default_rng(0)
    truth = rng.random((400, 3)) < 0.3
    flipped = rng.random(truth.shape) < 0.03
    logits = rng.normal(np.where(truth, 2, -2), 1)
    return 1 / (1 + np.exp(-logits)), (truth ^ flipped).astype(np.int8), flipped


def test_planted_label_errors_are_found(planted):
    probabilities, states, flipped = planted
    rows, columns, confidence = find_label_issues(probabilities, states)
    assert flipped[rows, columns][: flipped.sum() // 2].mean() > 0.9
    assert (np.diff(confidence) >= 0).all() and confidence.max() < 0.5
    given = np.where(states == 1, probabilities, 1 - probabilities)
    np.testing.assert_array_equal(confidence, given[rows, columns])


def confident_learning(probabilities, states):
    """Issues by the definition: an independent implementation, one label and one image at a time.

    For each label the confident joint of Northcutt et al. (2021) is counted for the classes absent
    and present, over the images in which the label is known. Issues are its off-diagonal entries,
    without those whose given class is the most probable one: a threshold may be below 0.5.
    """
    issues = {}
    for label in range(states.shape[1]):
        known = [row for row in range(len(states)) if states[row, label] in (0, 1)]
        given = {row: int(states[row, label]) for row in known}
        p = {row: (1 - probabilities[row, label], probabilities[row, label]) for row in known}
        thresholds = []
        for k in (0, 1):
            own = [p[row][k] for row in known if given[row] == k]
            thresholds.append(sum(own) / len(own) if own else float("inf"))
        for row in known:
            confident = [k for k in (0, 1) if p[row][k] >= thresholds[k]]
            off_diagonal = confident and max(confident, key=lambda k: p[row][k]) != given[row]
            if off_diagonal and max((0, 1), key=lambda k: p[row][k]) != given[row]:
                issues[row, label] = p[row][given[row]]
    return issues


@pytest.mark.parametrize("share_unknown", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("seed", range(4))
def test_issues_equal_an_independent_implementation(seed, share_unknown):
    rng = np.random.default_rng(seed)
    truth = rng.random((150, 6)) < np.array([0.0, 0.02, 0.1, 0.3, 0.6, 1.0])
    states = (truth ^ (rng.random(truth.shape) < 0.05)).astype(np.int8)
    states[:, [0, 5]] = truth[:, [0, 5]]  # two labels with one state only
    states[rng.random(states.shape) < share_unknown] = -1
    probabilities = 1 / (1 + np.exp(-rng.normal(np.where(truth, 1.5, -1.5), 1.2)))
    expected = confident_learning(probabilities, states)
    rows, columns, confidence = find_label_issues(probabilities, states)
    found = dict(zip(zip(rows.tolist(), columns.tolist(), strict=True), confidence, strict=True))
    assert found.keys() == expected.keys() and expected
    assert found == pytest.approx(expected)
    assert (np.diff(confidence) >= 0).all()


def test_unknown_states_and_labels_with_one_state_have_no_issues():
    probabilities = np.full((4, 2), 0.99)
    states = np.array([[-1, 0], [-1, 0], [1, 0], [0, 0]])
    rows, columns, _ = find_label_issues(probabilities, states)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(3, 0)]

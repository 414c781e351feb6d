import warnings
from pathlib import Path

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from mlic.errors import DataError, LabelError, ParameterError
from mlic.evaluation.metrics import (
    average_precision,
    mean_average_precision,
    per_label_f1,
    threshold_metrics,
    top_k_metrics,
)
from mlic.labels import ABSENT

VOC = Path(__file__).resolve().parents[2] / "../shared/data/labels/voc2007_test.npz"


def literal_average_precision(scores, states):
    """Average precision by its definition, one threshold at a time."""
    known = states != -1
    scores, present = scores[known], states[known] == 1
    if not present.any():
        return np.nan
    recall_before, total = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        chosen = scores >= threshold
        recall = present[chosen].sum() / present.sum()
        total += (recall - recall_before) * present[chosen].mean()
        recall_before = recall
    return total


def literal_figures(chosen, states):
    """Precision, recall and F1 by their definitions, one label at a time."""

    def share(part, whole):
        return part / whole if whole else 0.0

    def harmonic(p, r):
        return share(2 * p * r, p + r)

    labels, sums = [], np.zeros(3, dtype=int)
    for chosen_column, column in zip(np.asarray(chosen).T, states.T, strict=True):
        hits = sum(p and s == 1 for p, s in zip(chosen_column, column, strict=True))
        predictions = sum(bool(p) and s != -1 for p, s in zip(chosen_column, column, strict=True))
        present = sum(s == 1 for s in column)
        sums += [int(hits), int(predictions), int(present)]
        if present:
            labels.append((share(hits, predictions), hits / present))
    names = ("CP", "CR", "CF1", "macro_F1", "OP", "OR", "OF1")
    if not labels:
        return dict.fromkeys(names, np.nan)
    by_class = np.mean(labels, axis=0)
    overall = share(sums[0], sums[1]), sums[0] / sums[2]
    mean_f1 = np.mean([harmonic(*label) for label in labels])
    figures = (*by_class, harmonic(*by_class), mean_f1, *overall, harmonic(*overall))
    return dict(zip(names, figures, strict=True))


def some_scores(seed, n=400, num_labels=7, levels=None):
    rng = np.random.default_rng(seed)
    states = (rng.random((n, num_labels)) < np.linspace(0.02, 0.6, num_labels)).astype(np.int8)
    states[0] = 1
    scores = rng.normal(size=states.shape) + states
    return (scores if levels is None else np.round(scores * levels) / levels), states


@st.composite
def score_tables(draw):
    shape = draw(st.tuples(st.integers(1, 25), st.integers(1, 4)))
    value = st.one_of(st.integers(-3, 3).map(float), st.sampled_from([np.inf, -np.inf, 0.5]))
    scores = draw(npst.arrays(np.float64, shape, elements=value))
    states = draw(npst.arrays(np.int8, shape, elements=st.sampled_from([1, 0, 0, -1])))
    return scores, states


@pytest.mark.parametrize("levels", [None, 4, 1])
def test_average_precision_equals_sklearn(levels):
    scores, states = some_scores(seed=1, levels=levels)
    expected = average_precision_score(states, scores, average=None)
    np.testing.assert_allclose(average_precision(scores, states), expected, rtol=0, atol=1e-12)


@pytest.mark.slow  # importing torchmetrics alone takes many seconds
def test_metrics_equal_torchmetrics_with_unknown_states():
    torch = pytest.importorskip("torch")
    try:
        from torchmetrics import classification as oracles
    except (ImportError, RuntimeError) as reason:
        pytest.skip(f"torchmetrics cannot be imported: {reason}")
    scores, states = some_scores(seed=2, levels=8)
    states[np.random.default_rng(3).random(states.shape) < 0.3] = -1
    probabilities = 1 / (1 + np.exp(-scores))

    def oracle(name, average, **options):
        metric = getattr(oracles, f"Multilabel{name}")
        measure = metric(states.shape[1], average=average, ignore_index=-1, **options)
        return measure(torch.from_numpy(probabilities), torch.from_numpy(states).long()).numpy()

    precisions = oracle("AveragePrecision", None, thresholds=None)
    np.testing.assert_allclose(average_precision(probabilities, states), precisions, atol=1e-6)
    figures = threshold_metrics(probabilities, states, 0.8)  # no score lies at the threshold
    names = {"CP": "Precision", "CR": "Recall", "macro_F1": "F1Score"}
    for figure, name in names.items():
        assert figures[figure] == pytest.approx(oracle(name, "macro", threshold=0.8))
    names = {"OP": "Precision", "OR": "Recall", "OF1": "F1Score"}
    for figure, name in names.items():
        assert figures[figure] == pytest.approx(oracle(name, "micro", threshold=0.8))


@pytest.mark.skipif(not VOC.is_file(), reason="the real label sets are absent")
def test_difficult_objects_of_voc_are_ignored():
    with np.load(VOC) as file:
        voc = file["labels"]
    states = np.select([voc == 1, voc == 0], [1, -1], 0).astype(np.int8)
    assert (states == -1).any(axis=0).sum() > 15
    scores = np.random.default_rng(0).normal(size=states.shape).round(1) + (states == 1)
    figures = threshold_metrics(scores, states, 0.95)
    pairs = [(s[c != -1], c[c != -1]) for s, c in zip(scores.T, states.T, strict=True)]
    expected = [average_precision_score(column, score) for score, column in pairs]
    np.testing.assert_allclose(average_precision(scores, states), expected, rtol=0, atol=1e-12)
    assert mean_average_precision(scores, states) == pytest.approx(np.mean(expected))
    by_class = [
        precision_recall_fscore_support(column, score >= 0.95, average="binary")[:3]
        for score, column in pairs
    ]
    assert [figures[name] for name in ("CP", "CR", "macro_F1")] == pytest.approx(
        np.mean(by_class, axis=0)
    )
    score, column = (np.concatenate(each) for each in zip(*pairs, strict=True))
    overall = precision_recall_fscore_support(column, score >= 0.95, average="binary")[:3]
    assert [figures[name] for name in ("OP", "OR", "OF1")] == pytest.approx(overall)


@given(score_tables())
def test_average_precision_equals_its_definition(table):
    scores, states = table
    columns = zip(scores.T, states.T, strict=True)
    expected = [
        literal_average_precision(s, c) if (c == ABSENT).any() else np.nan for s, c in columns
    ]
    np.testing.assert_allclose(average_precision(scores, states), expected, rtol=0, atol=1e-12)


def test_without_a_known_negative_no_ranking_is_better_than_another():
    states = [[1, 1, 0], [1, -1, 0], [-1, 1, -1]]
    scores = [[0.2, 0.1, 0.3], [0.4, 0.4, 0.1], [0.1, 0.6, 0.2]]
    assert np.isnan(average_precision(scores, states)).all()
    assert np.isnan(mean_average_precision(scores, states))


@given(score_tables(), st.sampled_from([None, -1, 0.5, 2]))
def test_top_k_metrics_equal_their_definition(table, threshold):
    scores, states = table
    k = min(3, scores.shape[1])
    chosen = np.zeros(scores.shape)
    for row, values in enumerate(scores.tolist()):
        for column in sorted(range(len(values)), key=lambda c: (-values[c], c))[:k]:
            chosen[row, column] = threshold is None or values[column] >= threshold
    figures = top_k_metrics(scores, states, k, threshold)
    assert figures == pytest.approx(literal_figures(chosen, states), nan_ok=True)


@given(score_tables())
def test_threshold_metrics_equal_their_definition(table):
    scores, states = table
    figures = threshold_metrics(scores, states, 0.5)
    assert figures == pytest.approx(literal_figures(scores >= 0.5, states), nan_ok=True)


@given(score_tables(), st.randoms(use_true_random=False))
def test_figures_do_not_depend_on_the_order_of_images(table, random):
    scores, states = table
    order = random.sample(range(len(scores)), len(scores))
    before, after = average_precision(*table), average_precision(scores[order], states[order])
    np.testing.assert_allclose(before, after, rtol=0, atol=1e-12)
    before, after = top_k_metrics(*table, k=1), top_k_metrics(scores[order], states[order], k=1)
    assert before == pytest.approx(after, nan_ok=True)


@given(score_tables())
def test_average_precision_depends_on_the_ranking_only(table):
    scores, states = table
    squeezed = np.arctan(scores) * 3 + 1
    np.testing.assert_array_equal(
        average_precision(scores, states), average_precision(squeezed, states)
    )


@given(score_tables())
def test_unknown_states_have_no_influence(table):
    scores, states = table
    for c in range(states.shape[1]):
        known = states[:, c] != -1
        column = np.s_[:, c : c + 1]
        whole, part = (
            (scores[column], states[column]),
            (scores[known][column], states[known][column]),
        )
        np.testing.assert_array_equal(average_precision(*whole), average_precision(*part))
        assert threshold_metrics(*whole) == pytest.approx(threshold_metrics(*part), nan_ok=True)


def test_constant_scores_give_the_share_of_positives():
    states = np.array([[1], [0], [0], [1], [-1]])
    assert average_precision(np.full((5, 1), np.inf), states) == pytest.approx([0.5])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64])
def test_scores_of_every_real_dtype_are_accepted(dtype):
    scores, states = some_scores(seed=3)
    scores = (10 * scores).astype(dtype)
    expected = average_precision_score(states, scores.astype(np.float64), average=None)
    np.testing.assert_allclose(average_precision(scores, states), expected, atol=1e-12)


def test_mean_leaves_out_labels_without_a_known_positive():
    scores = np.array([[0.9, 0.5, 0.2], [0.8, 0.6, 0.1]])
    states = np.array([[0, -1, 0], [1, 0, -1]])
    np.testing.assert_array_equal(average_precision(scores, states), [0.5, np.nan, np.nan])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mean_average_precision(scores, states) == 0.5
        assert np.isnan(mean_average_precision(scores[:1], states[:1]))


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
def test_threshold_metrics_equal_sklearn(threshold):
    scores, states = some_scores(seed=4)
    probabilities = 1 / (1 + np.exp(-scores))
    chosen = probabilities >= threshold
    figures = threshold_metrics(probabilities, states, threshold)
    average = {
        kind: precision_recall_fscore_support(states, chosen, average=kind, zero_division=0)
        for kind in ("macro", "micro", None)
    }
    assert [figures[name] for name in ("CP", "CR", "macro_F1")] == pytest.approx(
        average["macro"][:3]
    )
    assert [figures[name] for name in ("OP", "OR", "OF1")] == pytest.approx(average["micro"][:3])
    harmonic = 2 * figures["CP"] * figures["CR"] / (figures["CP"] + figures["CR"])
    assert figures["CF1"] == pytest.approx(harmonic)
    np.testing.assert_allclose(per_label_f1(probabilities, states, threshold), average[None][2])


def test_a_probability_equal_to_the_threshold_is_predicted():
    assert threshold_metrics([[0.5]], [[1]], threshold=0.5)["OR"] == 1.0


def test_empty_denominators():
    nothing_predicted = threshold_metrics([[0.1, 0.1]], [[1, 0]])
    assert set(nothing_predicted.values()) == {0.0}
    no_positive = threshold_metrics([[0.9, 0.9]], [[0, -1]])
    assert all(np.isnan(figure) for figure in no_positive.values())


def test_label_without_known_positive_counts_overall_but_not_by_class():
    figures = threshold_metrics([[0.9, 0.9], [0.1, 0.9]], [[1, 0], [0, -1]])
    assert figures["CP"] == figures["CR"] == 1.0
    assert figures["OP"] == 0.5
    assert np.isnan(per_label_f1([[0.9]], [[0]]))[0]


def test_top_k_predicts_k_and_takes_equals_in_column_order():
    scores = np.array([[1, 3, 3, 2], [5, 5, 5, 5], [-np.inf, 0, np.inf, 0]])
    chosen = np.array([[0, 1, 1, 0], [1, 1, 0, 0], [0, 1, 1, 0]])
    assert set(top_k_metrics(scores, chosen, k=2).values()) == {1.0}
    assert top_k_metrics(scores, np.ones((3, 4)), k=3)["OR"] == 0.75


def test_top_k_equals_a_threshold_between_the_ranks():
    scores, states = some_scores(seed=5)
    ranks = (-scores).argsort(axis=1).argsort(axis=1)
    assert top_k_metrics(scores, states, k=2) == threshold_metrics(-ranks, states, threshold=-1)


def test_top_k_with_a_threshold_predicts_no_more_than_either():
    scores, states = some_scores(seed=6)
    every = scores.shape[1]
    assert top_k_metrics(scores, states, every, 0.5) == threshold_metrics(scores, states, 0.5)
    assert top_k_metrics(scores, states, 3, -np.inf) == top_k_metrics(scores, states, 3)
    assert top_k_metrics([[0.9, 0.6, 0.4]], [[1, 0, 1]], 2, 0.7)["OP"] == 1.0


def test_top_k_ignores_unknown_states():
    assert top_k_metrics([[3, 2, 1]], [[-1, 1, 1]], k=2)["OP"] == 1.0


@pytest.mark.parametrize("k", [0, 4])
def test_top_k_refuses_an_impossible_k(k):
    with pytest.raises(ParameterError) as error:
        top_k_metrics([[3, 2, 1]], [[0, 1, 1]], k=k)
    assert error.value.fields == {"parameter": "k", "value": k, "expected": 3}


@pytest.mark.parametrize("figure", [average_precision, threshold_metrics, top_k_metrics])
def test_bad_scores_and_states_are_refused(figure):
    states = np.zeros((2, 3), dtype=np.int8)
    with pytest.raises(DataError) as error:
        figure([[0, 0, 0], [0, 0, np.nan]], states)
    assert error.value.fields == {"name": (1, 2)}
    with pytest.raises(LabelError) as error:
        figure(np.zeros((2, 2)), states)
    assert error.value.fields == {"found": (2, 2), "expected": (2, 3)}
    with pytest.raises(LabelError) as error:
        figure(np.zeros((2, 3)), states + 2)
    assert error.value.fields == {"found": 2}

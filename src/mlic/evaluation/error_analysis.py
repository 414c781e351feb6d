"""Errors of models on pairs of labels: predicted together too often, or confused."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mlic.labels import ABSENT, PRESENT, UNKNOWN
from mlic.labels.co_occurrence import read_cells

__all__ = ["pair_errors", "predict_as_many"]


def predict_as_many(scores: NDArray[np.floating], states: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Predict each label for as many images as have it: those with the highest scores.

    With this threshold for each label, precision equals recall (the break-even point), so that
    models are compared independently of the calibration of their scores.

    Scores, states (1 present, 0 absent, −1 unknown, which is never predicted) and the result, which
    is True where a label is predicted, have the shape (n, C). Of equal scores the first images are
    predicted.

    Examples
    --------
    >>> scores, states = np.array([[0.9], [0.8], [0.1]]), np.array([[-1], [0], [1]])
    >>> predict_as_many(scores, states).ravel().tolist()
    [False, True, False]
    """
    # unknown cells come last in the ranking, so that they are never selected
    known = np.where(states == UNKNOWN, -np.inf, scores)
    order = np.argsort(-known, axis=0, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(len(scores))[:, None], axis=0)
    return np.asarray(ranks < (states == PRESENT).sum(axis=0))


def pair_errors(
    predicted: Mapping[str, NDArray[np.bool_]], states: NDArray[np.integer], most: int
) -> dict[str, NDArray[np.int64]]:
    """Count how often models predict pairs of labels together, and confuse them.

    Parameters
    ----------
    predicted
        For each model, by name, which labels it predicts for which images; shape (n, C), bool.
        Predictions for unknown states are ignored.
    states
        1 present, 0 absent, −1 unknown; shape (n, C).
    most
        Number of worst pairs that are kept for each model and kind of error.

    Returns
    -------
    dict of numpy.ndarray
        Columns of a table with one row for each pair, worst first. ``first`` and ``second`` are the
        columns of the two labels, ``together`` counts the images that have both. For each model
        ``<model>_together`` counts the images for which it predicts both; ``<model>_confused``
        counts the images that have one of the labels and for which it predicts only the other.

    Examples
    --------
    >>> states = np.array([[1, 1, 0], [1, 0, 0]])
    >>> predicted = np.array([[1, 1, 0], [0, 0, 1]], dtype=bool)
    >>> worst = pair_errors({"student": predicted}, states, most=1)
    >>> {name: column.tolist() for name, column in worst.items()}
    {'first': [0], 'second': [2], 'together': [0], 'student_together': [0], 'student_confused': [1]}
    """
    truth = _marks(states == PRESENT)
    counts = {"together": _pairs(truth, truth)}
    errors = []
    for model, chosen in predicted.items():
        known = _marks(chosen & (states != UNKNOWN))
        missed = _marks(~chosen & (states == PRESENT))
        false = _marks(chosen & (states == ABSENT))
        both, confused = _pairs(known, known), _pairs(missed, false) + _pairs(false, missed)
        counts |= {f"{model}_together": both, f"{model}_confused": confused}
        # predicted together too rarely is an error too, so that the difference may be negative
        errors += [both - counts["together"], confused]
    first, second = _worst(errors, most)
    columns = {name: read_cells(pairs, first, second) for name, pairs in counts.items()}
    return {"first": first, "second": second, **columns}


def _marks(cells: NDArray[np.bool_]) -> sparse.csr_array:
    """Convert marked cells to sparse int64, in which counts cannot overflow."""
    return sparse.csr_array(cells, dtype=np.int64)


def _pairs(one: sparse.csr_array, other: sparse.csr_array) -> sparse.csr_array:
    """Count the images marked for both labels of a pair, above the diagonal; shape (C, C)."""
    return sparse.csr_array(sparse.triu(one.T @ other, k=1))


def _worst(
    errors: list[sparse.csr_array], most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Select the worst pairs of each kind of error; sort them by their largest error."""
    size = errors[0].shape[0]
    largest: dict[int, int] = {}
    for matrix in errors:
        pairs = matrix.tocoo()
        sizes = np.abs(pairs.data)
        # ties are broken by label columns, so that the table is the same on every machine
        for at in np.lexsort((pairs.col, pairs.row, -sizes))[:most]:
            pair, error = int(pairs.row[at]) * size + int(pairs.col[at]), int(sizes[at])
            if error:  # a model may have fewer wrong pairs than `most`
                largest[pair] = max(error, largest.get(pair, 0))
    ordered = np.array(sorted(largest, key=lambda pair: (-largest[pair], pair)), dtype=np.int64)
    return ordered // size, ordered % size

"""Errors of a model in pairs of labels: claimed together too often, or one taken for the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from mlic.labels import ABSENT, PRESENT, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["claim_as_many", "pair_errors"]


def claim_as_many(scores: NDArray[np.floating], states: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Claim each label on as many images as carry it: those that score highest.

    At this threshold of each label's own precision and recall are equal (the break-even point),
    and a model whose scores are too high or too low as a whole is not blamed for it.

    Parameters
    ----------
    scores
        Shape (n, C).
    states
        1 present, 0 absent, −1 unknown, never claimed; shape (n, C).

    Returns
    -------
    numpy.ndarray
        Shape (n, C), bool; of equal scores those of earlier images.

    Examples
    --------
    >>> claim_as_many(np.array([[0.9], [0.8], [0.1]]), np.array([[-1], [0], [1]])).ravel().tolist()
    [False, True, False]
    """
    known = np.where(states == UNKNOWN, -np.inf, scores)
    order = np.argsort(-known, axis=0, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(len(scores))[:, None], axis=0)
    return np.asarray(ranks < (states == PRESENT).sum(axis=0))


def pair_errors(
    claims: Mapping[str, NDArray[np.bool_]], states: NDArray[np.integer], most: int
) -> dict[str, NDArray[np.int64]]:
    """Count, for pairs of labels, how often models claim them together, and take one for the other.

    Parameters
    ----------
    claims
        By model, which label is claimed on which image; shape (n, C). Claims where the state is
        unknown do not count.
    states
        1 present, 0 absent, −1 unknown; shape (n, C).
    most
        Of each kind of error and model, as many of the worst pairs are kept.

    Returns
    -------
    dict of numpy.ndarray
        Columns of one table, a row a pair, the worst first: ``first`` and ``second``, columns of
        the labels; ``together``, images that carry both; and for each model
        ``<model>_together``, images on which it claims both, and ``<model>_confused``, images
        that carry one of the two, on which it claims the other one only.

    Examples
    --------
    >>> states = np.array([[1, 1, 0], [1, 0, 0]])
    >>> claims = np.array([[1, 1, 0], [0, 0, 1]], dtype=bool)
    >>> worst = pair_errors({"student": claims}, states, most=1)
    >>> {name: column.tolist() for name, column in worst.items()}
    {'first': [0], 'second': [2], 'together': [0], 'student_together': [0], 'student_confused': [1]}
    """
    truth = _marks(states == PRESENT)
    counts = {"together": _pairs(truth, truth)}
    errors = []
    for model, claimed in claims.items():
        right = _marks(claimed & (states != UNKNOWN))
        missed = _marks(~claimed & (states == PRESENT))
        false = _marks(claimed & (states == ABSENT))
        both, confused = _pairs(right, right), _pairs(missed, false) + _pairs(false, missed)
        counts |= {f"{model}_together": both, f"{model}_confused": confused}
        errors += [both - counts["together"], confused]
    first, second = _worst(errors, most)
    columns = {name: _read(pairs, first, second) for name, pairs in counts.items()}
    return {"first": first, "second": second, **columns}


def _marks(cells: NDArray[np.bool_]) -> sparse.csr_array:
    return sparse.csr_array(cells, dtype=np.int64)


def _pairs(one: sparse.csr_array, other: sparse.csr_array) -> sparse.csr_array:
    """Images that are marked for both; each pair once, above the diagonal; shape (C, C)."""
    return sparse.csr_array(sparse.triu(one.T @ other, k=1))


def _read(
    pairs: sparse.csr_array, first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.int64]:
    # of no places scipy gives back a matrix
    return np.asarray(pairs[first, second]) if len(first) else np.empty(0, dtype=np.int64)


def _worst(
    errors: list[sparse.csr_array], most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs that are among the worst of any kind of error, by their largest error."""
    size = errors[0].shape[0]
    largest: dict[int, int] = {}
    for matrix in errors:
        pairs = matrix.tocoo()
        sizes = np.abs(pairs.data)
        for at in np.lexsort((pairs.col, pairs.row, -sizes))[:most]:
            pair, error = int(pairs.row[at]) * size + int(pairs.col[at]), int(sizes[at])
            if error:
                largest[pair] = max(error, largest.get(pair, 0))
    ordered = np.array(sorted(largest, key=lambda pair: (-largest[pair], pair)), dtype=np.int64)
    return ordered // size, ordered % size

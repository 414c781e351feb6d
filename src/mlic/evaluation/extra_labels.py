"""Concepts that are known at test time, and classes that are predicted (the protocol of CUB)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlic.labels import PRESENT, UNKNOWN, LabelSpace
from mlic.utils.seeds import derive_seed

__all__ = ["concept_groups", "known_groups", "top1_accuracy"]


def concept_groups(space: LabelSpace) -> dict[str, list[int]]:
    """Columns of each group of concepts: labels with the same text before ``::``.

    Examples
    --------
    >>> concept_groups(LabelSpace(("bill::long", "bill::short", "wing::red", "001.Auk")))
    {'bill': [0, 1], 'wing': [2]}
    """
    groups: dict[str, list[int]] = {}
    for column, name in enumerate(space.names):
        group, mark, _ = name.partition("::")
        if mark:
            groups.setdefault(group, []).append(column)
    return groups


def known_groups(
    states: NDArray[np.int8], ids: Sequence[str], space: LabelSpace, number: int, seed: int
) -> NDArray[np.int8]:
    """States of some groups of concepts, chosen for each image by its id and the seed.

    The groups that are known with a smaller number are also known with a larger one. Concepts that
    are unknown in the data stay so.

    Parameters
    ----------
    states
        Of all labels; shape (n, C).
    ids
        Image ids; shape (n,).
    space
        The labels, in column order.
    number
        Groups that are known, of all concepts; labels that are none are never known.
    seed
        Seed of the choice.

    Returns
    -------
    numpy.ndarray
        Known states, −1 elsewhere; int8, shape (n, C).
    """
    groups = list(concept_groups(space).values())
    known = np.full_like(states, UNKNOWN)
    for row, name in enumerate(ids):
        order = np.random.default_rng(derive_seed(seed, f"known groups of {name}"))
        for group in order.permutation(len(groups))[:number]:
            known[row, groups[group]] = states[row, groups[group]]
    return known


def top1_accuracy(
    logits: NDArray[np.floating], states: NDArray[np.integer], columns: Sequence[int]
) -> float:
    """Share of the images whose present class has the largest logit of all classes.

    Parameters
    ----------
    logits, states
        Shape (n, C).
    columns
        The classes, of which each image has one.

    Examples
    --------
    >>> logits = np.array([[0.0, 2.0, 1.0], [0.0, 3.0, 1.0]])
    >>> top1_accuracy(logits, np.array([[1, 1, 0], [1, 0, 1]]), [1, 2])
    0.5
    """
    best = np.asarray(logits)[:, columns].argmax(axis=1)
    hit = np.take_along_axis(states[:, columns], best[:, None], axis=1) == PRESENT
    return float(hit.mean())

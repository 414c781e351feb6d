"""Stratified splits of images: every split gets its share of every label."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mlic.errors import LabelError, ParameterError
from mlic.labels.co_occurrence import States, states_equal
from mlic.labels.matrix import PRESENT

__all__ = ["stratified_split"]


def stratified_split(
    states: States,
    fractions: Mapping[str, float],
    seed: int,
    groups: NDArray[np.str_] | None = None,
) -> NDArray[np.str_]:
    """Split images by iterative stratification [1]_: a split name for each, shape (n,), strings.

    The images of the rarest remaining label are assigned first, each to the split that still needs
    that label most.

    Parameters
    ----------
    states
        1 present, 0 absent, −1 unknown, which counts as absent; shape (n, C), an array or a SciPy
        sparse matrix.
    fractions
        Share of the images for each split, by name; each above 0, with the sum 1. Other fractions
        raise a `ParameterError`.
    groups
        Group of every image; images of one group stay in one split; shape (n,). By default every
        image is its own group. Fewer groups than splits raise a `LabelError`.

    References
    ----------
    .. [1] Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data",
       ECML PKDD 2011. Difference: every split gets at least one image of each label that has
       enough images.

    Examples
    --------
    >>> states = np.tile([[1, 0], [0, 1]], (10, 1))
    >>> split = stratified_split(states, {"train": 0.8, "validation": 0.2}, seed=0)
    >>> states[split == "validation"].sum(axis=0).tolist()
    [2, 2]
    """
    shares = _shares(fractions)
    units, sizes, unit_of = _units(states_equal(states, PRESENT), groups)
    if len(sizes) < len(shares):
        raise LabelError(
            f"{len(sizes)} images or groups are too few for {len(shares)} splits: "
            "add images or remove a split",
            found=len(sizes),
            expected=len(shares),
        )
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]  # large groups are the hardest to place
    names = np.array(list(fractions), dtype=np.str_)
    return names[_assign(units, sizes, shares, order)[unit_of]]


def _shares(fractions: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the fractions as an array, and check them."""
    shares = np.array(list(fractions.values()), dtype=np.float64)
    valid = shares.size > 0 and (shares > 0).all() and math.isclose(shares.sum(), 1, abs_tol=1e-6)
    if not valid:
        raise ParameterError(
            f"split fractions {dict(fractions)} must each be above 0 and add up to 1",
            parameter="fractions",
            value=dict(fractions),
        )
    return shares


def _units(
    present: sparse.csr_array, groups: NDArray[np.str_] | None
) -> tuple[sparse.csr_array, NDArray[np.int64], NDArray[np.intp]]:
    """Label counts and number of images of every unit (group or image); the unit of every image."""
    num_images = present.shape[0]
    if groups is None:
        return present, np.ones(num_images, dtype=np.int64), np.arange(num_images)
    if len(groups) != num_images:
        raise LabelError(
            f"{len(groups)} groups are given for {num_images} images: give one for each image",
            found=len(groups),
            expected=num_images,
        )
    _, unit_of = np.unique(np.asarray(groups), return_inverse=True)
    ones = np.ones(num_images, dtype=np.int32)
    # row u of this matrix selects the images of unit u
    gather = sparse.csr_array((ones, (unit_of, np.arange(num_images))))
    return sparse.csr_array(gather @ present), np.bincount(unit_of), unit_of


def _assign(
    units: sparse.csr_array,
    sizes: NDArray[np.int64],
    shares: NDArray[np.float64],
    order: NDArray[np.intp],
) -> NDArray[np.intp]:
    """Assign a split number to every unit; shape (number of units,)."""
    assignment = _Assignment(units, sizes, shares)
    columns = sparse.csc_array(units[order])
    remaining = _column_counts(units)
    while remaining.any():
        label = int(np.where(remaining > 0, remaining, remaining.max() + 1).argmin())  # the rarest
        rows = order[columns.indices[columns.indptr[label] : columns.indptr[label + 1]]]
        rows = rows[assignment.chosen[rows] < 0]
        assignment.assign(rows, assignment.needs[label])
        remaining -= _column_counts(units[rows])
    # units without labels only fill the splits up
    assignment.assign(order[assignment.chosen[order] < 0], assignment.room)
    return assignment.chosen


class _Assignment:
    """Split of every unit so far, and what every split still needs of every label."""

    def __init__(
        self, units: sparse.csr_array, sizes: NDArray[np.int64], shares: NDArray[np.float64]
    ) -> None:
        # Plain lists: units are assigned one by one, and single elements of lists are read much
        # faster than those of arrays.
        totals = np.bincount(units.indices, weights=units.data, minlength=units.shape[1])
        num_units = _column_counts(units)
        self.needs = [_targets(t, n, shares) for t, n in zip(totals, num_units, strict=True)]
        self.room = _targets(float(sizes.sum()), len(sizes), shares)
        self.chosen = np.full(len(sizes), -1, dtype=np.intp)
        self.sizes = sizes.tolist()
        self.starts, self.labels = units.indptr.tolist(), units.indices.tolist()
        self.counts = units.data.tolist()

    def assign(self, rows: NDArray[np.intp], need: list[float]) -> None:
        """Assign each unit to the split with the largest need, and of equals the most room."""
        room, needs, splits = self.room, self.needs, range(len(self.room))
        for row in rows.tolist():
            split = max(splits, key=lambda one: (need[one], room[one]))
            self.chosen[row] = split
            for place in range(self.starts[row], self.starts[row + 1]):
                needs[self.labels[place]][split] -= self.counts[place]
            room[split] -= self.sizes[row]


def _targets(total: float, num_units: int, shares: NDArray[np.float64]) -> list[float]:
    """Divide a total among the splits, at least 1 for each if there are enough units."""
    targets = total * shares
    missing = float(np.maximum(1 - targets, 0).sum())
    if num_units >= len(shares) and missing > 0:
        # raise small targets to 1 and take the difference from the others, in proportion
        surplus = np.maximum(targets - 1, 0)
        targets = (
            1 + surplus * (1 - missing / surplus.sum()) if surplus.any() else np.ones_like(targets)
        )
    return [float(target) for target in targets]


def _column_counts(units: sparse.csr_array) -> NDArray[np.int64]:
    """Count the units in which each label is present; shape (C,)."""
    return np.bincount(units.indices, minlength=units.shape[1])

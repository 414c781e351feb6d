"""Splitting images so that every split has its share of every label."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from mlic.errors import LabelError, ParameterError
from mlic.labels.co_occurrence import States, states_equal
from mlic.labels.matrix import PRESENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["stratified_split"]

Needs = list[list[float]]


def stratified_split(
    states: States,
    fractions: Mapping[str, float],
    seed: int,
    groups: NDArray[np.str_] | None = None,
) -> NDArray[np.str_]:
    """Split by iterative stratification: the rarest label first, to whoever needs it most.

    Parameters
    ----------
    states
        1 present, 0 absent, −1 unknown (counts as absent); shape (n, C), an array or a SciPy
        sparse matrix.
    fractions
        Share of the images by name of the split; each above 0, together 1.
    seed
        Of the order in which images are dealt.
    groups
        Images of one group stay together; shape (n,). By default every image is its own.

    Returns
    -------
    numpy.ndarray
        Name of the split of every image; shape (n,), strings.

    Raises
    ------
    ParameterError
        If the fractions are not shares of a whole.
    LabelError
        If groups and images differ in number, there are fewer groups than splits, or a state
        is none of the three.

    References
    ----------
    .. [1] Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data",
       ECML PKDD 2011. Added here: a label with enough images is owed one in every split.

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
            f"{len(sizes)} images or groups cannot fill {len(shares)} splits: "
            "add images or drop a split"
        )
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]  # large groups are hardest to place
    names = np.array(list(fractions), dtype=np.str_)
    return names[_deal(units, sizes, shares, order)[unit_of]]


def _shares(fractions: Mapping[str, float]) -> NDArray[np.float64]:
    shares = np.array(list(fractions.values()), dtype=np.float64)
    fit = shares.size > 0 and (shares > 0).all() and math.isclose(shares.sum(), 1, abs_tol=1e-6)
    if not fit:
        raise ParameterError(
            f"split fractions {dict(fractions)} must each be above 0 and add up to 1"
        )
    return shares


def _units(
    present: sparse.csr_array, groups: NDArray[np.str_] | None
) -> tuple[sparse.csr_array, NDArray[np.int64], NDArray[np.intp]]:
    """Label counts and size of every unit that stays together, and the unit of every image."""
    num_images = present.shape[0]
    if groups is None:
        return present, np.ones(num_images, dtype=np.int64), np.arange(num_images)
    if len(groups) != num_images:
        raise LabelError(
            f"{len(groups)} groups are given for {num_images} images: give one an image"
        )
    _, unit_of = np.unique(np.asarray(groups), return_inverse=True)
    ones = np.ones(num_images, dtype=np.int32)
    gather = sparse.csr_array((ones, (unit_of, np.arange(num_images))))
    return sparse.csr_array(gather @ present), np.bincount(unit_of), unit_of


def _deal(
    units: sparse.csr_array,
    sizes: NDArray[np.int64],
    shares: NDArray[np.float64],
    order: NDArray[np.intp],
) -> NDArray[np.intp]:
    """Split number of every unit; shape (number of units,)."""
    hand = _Dealer(units, sizes, shares)
    columns = sparse.csc_array(units[order])
    remaining = _column_counts(units)
    while remaining.any():
        label = int(np.where(remaining > 0, remaining, remaining.max() + 1).argmin())
        rows = order[columns.indices[columns.indptr[label] : columns.indptr[label + 1]]]
        rows = rows[hand.chosen[rows] < 0]
        hand.deal(rows, hand.needs[label])
        remaining -= _column_counts(units[rows])
    hand.deal(order[hand.chosen[order] < 0], hand.room)
    return hand.chosen


class _Dealer:
    """What every split still needs, kept in plain lists because units are dealt one by one."""

    def __init__(
        self, units: sparse.csr_array, sizes: NDArray[np.int64], shares: NDArray[np.float64]
    ) -> None:
        totals = np.bincount(units.indices, weights=units.data, minlength=units.shape[1])
        held = _column_counts(units)
        self.needs = [_owed(t, h, shares) for t, h in zip(totals, held, strict=True)]
        self.room = _owed(float(sizes.sum()), len(sizes), shares)
        self.chosen = np.full(len(sizes), -1, dtype=np.intp)
        self.sizes = sizes.tolist()
        self.starts, self.labels = units.indptr.tolist(), units.indices.tolist()
        self.counts = units.data.tolist()

    def deal(self, rows: NDArray[np.intp], need: list[float]) -> None:
        """Give every unit to the split that needs it most; among equals, to the roomiest."""
        room, needs, splits = self.room, self.needs, range(len(self.room))
        for row in rows.tolist():
            split = max(splits, key=lambda one: (need[one], room[one]))
            self.chosen[row] = split
            for place in range(self.starts[row], self.starts[row + 1]):
                needs[self.labels[place]][split] -= self.counts[place]
            room[split] -= self.sizes[row]


def _owed(total: float, held: int, shares: NDArray[np.float64]) -> list[float]:
    """Share of every split in a total, at least 1 each where there are units for it."""
    owed = total * shares
    lack = float(np.maximum(1 - owed, 0).sum())
    if held >= len(shares) and lack > 0:
        surplus = np.maximum(owed - 1, 0)
        owed = 1 + surplus * (1 - lack / surplus.sum()) if surplus.any() else np.ones_like(owed)
    return [float(share) for share in owed]


def _column_counts(units: sparse.csr_array) -> NDArray[np.int64]:
    return np.bincount(units.indices, minlength=units.shape[1])

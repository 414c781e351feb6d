"""The two local searches that cut labels: moves of one label, and swaps of two labels.

Both keep sums up to date from which the gain of every possible change follows at once. A label that
was changed is locked: its sums are set to infinity, so that no later change of the pass selects it.
"""

from __future__ import annotations

from itertools import count

import numpy as np

from mlic.labels.partition.local_search import max_changes
from mlic.labels.partition.part_sums import (
    EPSILON,
    Floats,
    Membership,
    Weights,
    internal_ratio,
    part_affinity,
    part_sums,
    rows_of,
)

__all__ = ["MoveSearch", "SwapSearch", "fill_parts", "perturb", "perturb_balanced"]

SWAPS = 4096  # swaps evaluated in one step: those of the most promising labels


class MoveSearch:
    """Lower the normalised cut by moving single labels to other parts.

    The arguments are as in `normalised_cut`; the initial membership, of shape (C,), is copied.
    """

    def __init__(
        self, weights: Weights, membership: Membership, num_parts: int, min_size: int
    ) -> None:
        self.weights, self.membership = weights, membership.copy()
        self.min_size = min_size
        self._labels = np.arange(len(membership))
        self._locked = np.zeros(len(membership), dtype=np.bool_)
        self._degree = weights.sum(axis=1)
        self._affinity = part_affinity(weights, membership, num_parts)
        self._sizes = np.bincount(membership, minlength=num_parts)
        self._inside, self._volume = part_sums(self._affinity, membership)
        self._gain_of_joining = np.empty(self._affinity.shape)
        self._update_gains(np.arange(num_parts))

    def _update_gains(self, parts: Membership) -> None:
        """Update how the internal ratio of parts changes when a label joins or leaves them."""
        ratios = internal_ratio(self._inside, self._volume)
        inside, volume = self._inside[parts, None], self._volume[parts, None]
        joining = internal_ratio(inside + 2 * self._affinity[parts], volume + self._degree)
        joining -= ratios[parts, None]
        joining[self.membership == parts[:, None]] = -np.inf  # it is already in this part
        self._gain_of_joining[parts] = joining
        here = self.membership
        inside = self._inside[here] - 2 * self._affinity[here, self._labels]
        self._gain_of_leaving = (
            internal_ratio(inside, self._volume[here] - self._degree) - ratios[here]
        )
        fixed = self._locked | (self._sizes <= self.min_size)[here]
        self._gain_of_leaving[fixed] = -np.inf
        self.value = float((1.0 - ratios).sum())

    def step(self) -> bool:
        """Move the labels with the largest gains, or the one with the smallest loss."""
        gain = self._gain_of_joining.max(axis=0) + self._gain_of_leaving
        labels = _smallest(-gain, max_changes(len(gain)))
        labels = labels[gain[labels] > EPSILON] if gain[labels[0]] > EPSILON else labels[:1]
        if gain[labels[0]] == -np.inf:
            return False
        parts = self._gain_of_joining[:, labels].argmax(axis=0)
        changed = {*parts.tolist(), *self.membership[labels].tolist()}
        rows = rows_of(self.weights, labels)
        for label, part, row in zip(labels.tolist(), parts.tolist(), rows, strict=True):
            # an earlier move of this step may have brought the part to its smallest size
            if self._sizes[self.membership[label]] > self.min_size:
                self._move(label, part, row)
        self._locked[labels] = True
        self._update_gains(np.array(sorted(changed)))
        return True

    def _move(self, label: int, part: int, row: Floats) -> None:
        for side, sign in ((int(self.membership[label]), -1), (part, 1)):
            self._inside[side] += 2 * sign * self._affinity[side, label]
            self._volume[side] += sign * self._degree[label]
            self._affinity[side] += sign * row
            self._sizes[side] += sign
        self.membership[label] = part


class SwapSearch:
    """Lower the affinity inside parts by swapping two labels, which keeps all sizes."""

    def __init__(self, weights: Weights, membership: Membership, num_parts: int) -> None:
        self.weights, self.membership = weights, membership.copy()
        labels = np.arange(len(membership))
        # affinity of each label to the other parts, and to its own part
        self._to_parts = part_affinity(weights, membership, num_parts)
        self._to_own = self._to_parts[membership, labels]
        self._to_parts[membership, labels] = np.inf
        self.value = float(self._to_own.sum()) / 2

    def step(self) -> bool:
        """Make the best swaps of the most promising labels."""
        lower_bound = self._to_parts.min(axis=0) - self._to_own
        candidates = self._candidates(lower_bound)
        if not len(candidates):
            return False
        rows = rows_of(self.weights, candidates)
        increases = self._increases(candidates, rows)
        others, best = increases.argmin(axis=1), increases.min(axis=1)
        order = _smallest(best, max_changes(len(lower_bound)))
        if best[order[0]] == np.inf:
            return False
        pairs = zip(candidates[order].tolist(), others[order].tolist(), strict=True)
        other_rows = rows_of(self.weights, others[order])
        for number, (label, other), row, other_row in zip(count(), pairs, rows[order], other_rows):
            # computed again, because earlier swaps of this step may have changed the sums
            increase = self._increase(label, other, row[other])
            if number == 0 or increase < -EPSILON:
                self.value += increase
                self._swap(label, other, other_row - row)
        return True

    def _candidates(self, lower_bound: Floats) -> Membership:
        """Select the labels that may gain most: as many as `SWAPS` allows to evaluate."""
        size = len(lower_bound)
        most = max(-(-SWAPS // size), max_changes(size))  # rounded up
        most = min(most, int(np.count_nonzero(lower_bound < np.inf)))
        return np.argpartition(lower_bound, most - 1)[:most] if most else np.empty(0, dtype=np.intp)

    def _increases(self, candidates: Membership, rows: Floats) -> Floats:
        """Increase of the affinity inside parts by every swap of a candidate; ∞ if not allowed."""
        away = (self._to_parts[:, candidates] - self._to_own[candidates])[self.membership]
        increases = self._to_parts[self.membership[candidates]]
        increases -= self._to_own
        increases += away.T
        increases -= 2 * rows  # the two labels do not end up in one part
        return increases

    def _increase(self, label: int, other: int, weight: float) -> float:
        away = self._to_parts[self.membership[other], label] - self._to_own[label]
        here = self._to_parts[self.membership[label], other] - self._to_own[other]
        return float(away + here - 2 * weight)

    def _swap(self, label: int, other: int, shift: Floats) -> None:
        for part, change in ((self.membership[label], shift), (self.membership[other], -shift)):
            self._to_parts[part] += change
            np.add(self._to_own, change, out=self._to_own, where=self.membership == part)
        self.membership[[label, other]] = self.membership[[other, label]]
        self._to_parts[:, [label, other]] = np.inf  # locks both


def _smallest(values: Floats, most: int) -> Membership:
    """Positions of the smallest values, in ascending order of the values."""
    if most == 1:
        return np.array([values.argmin()])
    return np.argsort(values, kind="stable")[:most]


def perturb(
    weights: Weights,
    membership: Membership,
    num_parts: int,
    min_size: int,
    rng: np.random.Generator,
) -> Membership:
    """Assign a quarter of the labels to random parts."""
    membership = membership.copy()
    chosen = _quarter(membership, rng)
    membership[chosen] = rng.integers(num_parts, size=len(chosen))
    return fill_parts(weights, membership, num_parts, min_size)


def perturb_balanced(membership: Membership, rng: np.random.Generator) -> Membership:
    """Permute the parts of a quarter of the labels, which keeps all sizes."""
    membership = membership.copy()
    chosen = _quarter(membership, rng)
    membership[chosen] = membership[rng.permutation(chosen)]
    return membership


def _quarter(membership: Membership, rng: np.random.Generator) -> Membership:
    return rng.choice(len(membership), max(2, len(membership) // 4), replace=False)


def fill_parts(
    weights: Weights, membership: Membership, num_parts: int, min_size: int
) -> Membership:
    """Bring every part to its smallest allowed size with the labels that fit it best."""
    membership = membership.copy()
    labels = np.arange(len(membership))
    for part in range(num_parts):
        while np.count_nonzero(membership == part) < min_size:
            affinity = part_affinity(weights, membership, num_parts)
            gains = affinity[part] - affinity[membership, labels]
            spare = np.bincount(membership, minlength=num_parts) > min_size
            gains[~spare[membership] | (membership == part)] = -np.inf
            membership[gains.argmax()] = part
    return membership

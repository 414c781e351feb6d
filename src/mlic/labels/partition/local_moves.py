"""The two searches that cut labels: moves of one label, and swaps of two.

Each keeps sums up to date that give the worth of every change at once, and locks a label that it
has touched: its sums are set to where no change is chosen.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from mlic.labels.partition.local_search import changes
from mlic.labels.partition.part_sums import EPSILON, held, part_links, part_sums, rows_of

if TYPE_CHECKING:
    from mlic.labels.partition.part_sums import Links, Membership, Weights

__all__ = ["Moves", "Swaps", "fill_parts", "shuffle_some", "throw_some"]

SWAPS = 4096  # swaps weighed in one step: those of the most promising labels


class Moves:
    """Normalised cut under moves of one label to another part.

    Parameters
    ----------
    weights
        Affinity, symmetric, zero diagonal, an array or sparse rows; shape (C, C).
    membership
        Part of every label, 0 … K − 1, which is copied; shape (C,).
    num_parts
        Number of parts K.
    min_size
        Labels that every part keeps at least.
    """

    def __init__(
        self, weights: Weights, membership: Membership, num_parts: int, min_size: int
    ) -> None:
        self.weights, self.membership = weights, membership.copy()
        self.min_size = min_size
        self._labels = np.arange(len(membership))
        self._locked = np.zeros(len(membership), dtype=np.bool_)
        self._degree = weights.sum(axis=1)
        self._links = part_links(weights, membership, num_parts)
        self._sizes = np.bincount(membership, minlength=num_parts)
        self._inside, self._volume = part_sums(self._links, membership)
        self._joined = np.empty(self._links.shape)
        self._weigh(np.arange(num_parts))

    def _weigh(self, parts: Membership) -> None:
        """Bring up to date what parts hold more by each label, and without it."""
        shares = held(self._inside, self._volume)
        inside, volume = self._inside[parts, None], self._volume[parts, None]
        joined = held(inside + 2 * self._links[parts], volume + self._degree)
        joined -= shares[parts, None]
        joined[self.membership == parts[:, None]] = -np.inf
        self._joined[parts] = joined
        here = self.membership
        inside = self._inside[here] - 2 * self._links[here, self._labels]
        self._left = held(inside, self._volume[here] - self._degree) - shares[here]
        self._left[self._locked | (self._sizes <= self.min_size)[here]] = -np.inf
        self.value = float((1.0 - shares).sum())

    def step(self) -> bool:
        """Move the labels that gain most, or the one that loses least."""
        gain = self._joined.max(axis=0) + self._left
        labels = _least(-gain, changes(len(gain)))
        labels = labels[gain[labels] > EPSILON] if gain[labels[0]] > EPSILON else labels[:1]
        if gain[labels[0]] == -np.inf:
            return False
        parts = self._joined[:, labels].argmax(axis=0)
        touched = {*parts.tolist(), *self.membership[labels].tolist()}
        rows = rows_of(self.weights, labels)
        for label, part, row in zip(labels.tolist(), parts.tolist(), rows, strict=True):
            if self._sizes[self.membership[label]] > self.min_size:
                self._move(label, part, row)
        self._locked[labels] = True
        self._weigh(np.array(sorted(touched)))
        return True

    def _move(self, label: int, part: int, row: Links) -> None:
        for side, sign in ((int(self.membership[label]), -1), (part, 1)):
            self._inside[side] += 2 * sign * self._links[side, label]
            self._volume[side] += sign * self._degree[label]
            self._links[side] += sign * row
            self._sizes[side] += sign
        self.membership[label] = part


class Swaps:
    """Affinity inside parts under swaps of two labels, so that sizes stay.

    Parameters
    ----------
    weights, membership, num_parts
        As of `Moves`.
    """

    def __init__(self, weights: Weights, membership: Membership, num_parts: int) -> None:
        self.weights, self.membership = weights, membership.copy()
        labels = np.arange(len(membership))
        self._away = part_links(weights, membership, num_parts)
        self._own = self._away[membership, labels]
        self._away[membership, labels] = np.inf
        self.value = float(self._own.sum()) / 2

    def step(self) -> bool:
        """Swap the best pairs among those of the most promising labels."""
        least = self._away.min(axis=0) - self._own
        candidates = self._candidates(least)
        if not len(candidates):
            return False
        rows = rows_of(self.weights, candidates)
        rises = self._rises(candidates, rows)
        others, best = rises.argmin(axis=1), rises.min(axis=1)
        order = _least(best, changes(len(least)))
        if best[order[0]] == np.inf:
            return False
        pairs = zip(candidates[order].tolist(), others[order].tolist(), strict=True)
        backs = rows_of(self.weights, others[order])
        for number, (label, other), row, back in zip(count(), pairs, rows[order], backs):
            rise = self._rise(label, other, row[other])  # as it is after those before it
            if number == 0 or rise < -EPSILON:
                self.value += rise
                self._swap(label, other, back - row)
        return True

    def _candidates(self, least: Links) -> Membership:
        """Labels that might gain most, as many as there are `SWAPS` to weigh."""
        most = max(-(-SWAPS // len(least)), changes(len(least)))
        most = min(most, int(np.count_nonzero(least < np.inf)))
        return np.argpartition(least, most - 1)[:most] if most else np.empty(0, dtype=np.intp)

    def _rises(self, candidates: Membership, rows: Links) -> Links:
        """What every swap of a candidate adds inside parts; infinite where closed."""
        away = (self._away[:, candidates] - self._own[candidates])[self.membership]
        rises = self._away[self.membership[candidates]]
        rises -= self._own
        rises += away.T
        rises -= 2 * rows
        return rises

    def _rise(self, label: int, other: int, weight: float) -> float:
        away = self._away[self.membership[other], label] - self._own[label]
        here = self._away[self.membership[label], other] - self._own[other]
        return float(away + here - 2 * weight)

    def _swap(self, label: int, other: int, shift: Links) -> None:
        for part, links in ((self.membership[label], shift), (self.membership[other], -shift)):
            self._away[part] += links
            np.add(self._own, links, out=self._own, where=self.membership == part)
        self.membership[[label, other]] = self.membership[[other, label]]
        self._away[:, [label, other]] = np.inf


def _least(values: Links, most: int) -> Membership:
    """Places of the least values, in their order."""
    if most == 1:
        return np.array([values.argmin()])
    return np.argsort(values, kind="stable")[:most]


def throw_some(
    weights: Weights,
    membership: Membership,
    num_parts: int,
    min_size: int,
    rng: np.random.Generator,
) -> Membership:
    """Throw a quarter of the labels into any part."""
    membership = membership.copy()
    chosen = _quarter(membership, rng)
    membership[chosen] = rng.integers(num_parts, size=len(chosen))
    return fill_parts(weights, membership, num_parts, min_size)


def shuffle_some(membership: Membership, rng: np.random.Generator) -> Membership:
    """Shuffle the parts of a quarter of the labels."""
    membership = membership.copy()
    chosen = _quarter(membership, rng)
    membership[chosen] = membership[rng.permutation(chosen)]
    return membership


def _quarter(membership: Membership, rng: np.random.Generator) -> Membership:
    return rng.choice(len(membership), max(2, len(membership) // 4), replace=False)


def fill_parts(
    weights: Weights, membership: Membership, num_parts: int, min_size: int
) -> Membership:
    """Bring every part to its least size with the labels that suit it best."""
    membership = membership.copy()
    labels = np.arange(len(membership))
    for part in range(num_parts):
        while np.count_nonzero(membership == part) < min_size:
            links = part_links(weights, membership, num_parts)
            gains = links[part] - links[membership, labels]
            spare = np.bincount(membership, minlength=num_parts) > min_size
            gains[~spare[membership] | (membership == part)] = -np.inf
            membership[gains.argmax()] = part
    return membership

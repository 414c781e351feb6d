"""Local search over partitions: Kernighan-Lin passes inside an iterated local search.

Every step of a pass takes the best change still open, better or worse, and locks what it touched;
of many labels it takes several good ones at once, or passes would take a time that grows with the
square of their number. The pass is cut back to the best assignment it went through [1]_. Passes
are repeated from several first assignments, then from perturbations of the best.

References
----------
.. [1] Kernighan and Lin, "An efficient heuristic procedure for partitioning graphs", Bell System
   Technical Journal 49, 1970; Fiduccia and Mattheyses, DAC 1982, for moves of single labels.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "EPSILON",
    "Moves",
    "Search",
    "Swaps",
    "Weights",
    "effort",
    "fill_parts",
    "held",
    "improve",
    "part_links",
    "part_sums",
]

Membership = NDArray[np.intp]
Links = NDArray[np.float64]
Weights: TypeAlias = NDArray[np.float64] | sparse.csr_array

S = TypeVar("S", bound="Search")

EPSILON = 1e-12
PATIENCE = 40  # steps without a new best after which a pass ends
SWAPS = 4096  # swaps weighed in one step: those of the most promising labels
ROUNDS = 60  # perturbations for up to 100 labels, fewer beyond
LABELS_A_CHANGE = 500  # a step makes one change for every so many labels, at least one


class Search(Protocol):
    """An assignment with an objective to lower and changes to try."""

    membership: Membership

    @property
    def value(self) -> float:
        """What the search lowers."""

    def step(self, locked: NDArray[np.bool_]) -> bool:
        """Make the best change to labels that are not locked and lock them; False if none."""

    def shake(self, rng: np.random.Generator) -> Membership:
        """Give a random change of some labels."""

    def copy(self) -> Self:
        """Give a search that steps on from here and leaves this one alone."""


class Moves:
    """Normalised cut under moves of one label to another part."""

    def __init__(
        self, weights: Weights, membership: Membership, num_parts: int, min_size: int
    ) -> None:
        self.weights, self.membership = weights, membership.copy()
        self.num_parts, self.min_size = num_parts, min_size
        self.degree = weights.sum(axis=1)
        self.links = part_links(weights, membership, num_parts)
        self.sizes = np.bincount(membership, minlength=num_parts)
        self.inside, self.volume = _sums(self.links, membership)
        self.rows = np.arange(len(membership))

    @property
    def value(self) -> float:
        """Normalised cut."""
        return float(np.sum(1.0 - held(self.inside, self.volume)))

    def copy(self) -> Self:
        """Copy what steps change."""
        return _copied(self, "membership", "links", "sizes", "inside", "volume")

    def _gains(self) -> Links:
        """How much more the parts hold together after each move; shape (C, K)."""
        here, degree = self.membership, self.degree
        now = held(self.inside, self.volume)
        own = self.links[self.rows, here]
        left = held(self.inside[here] - 2 * own, self.volume[here] - degree) - now[here]
        joined = held(self.inside + 2 * self.links, self.volume + degree[:, None]) - now
        return joined + left[:, None]

    def step(self, locked: NDArray[np.bool_]) -> bool:
        """Move the labels that gain most, or the one that loses least."""
        gains = self._gains()
        gains[locked | (self.sizes <= self.min_size)[self.membership]] = -np.inf
        gains[self.rows, self.membership] = -np.inf
        parts = gains.argmax(axis=1)
        gain = gains[self.rows, parts]
        labels = np.argsort(-gain, kind="stable")[: changes(len(gain))]
        labels = labels[gain[labels] > EPSILON] if gain[labels[0]] > EPSILON else labels[:1]
        if gain[labels[0]] == -np.inf:
            return False
        for label, row in zip(labels.tolist(), _rows(self.weights, labels), strict=True):
            if self.sizes[self.membership[label]] > self.min_size:
                self._move(label, int(parts[label]), row)
        locked[labels] = True
        return True

    def _move(self, label: int, part: int, row: Links) -> None:
        for side, sign in ((int(self.membership[label]), -1), (part, 1)):
            self.inside[side] += 2 * sign * self.links[label, side]
            self.volume[side] += sign * self.degree[label]
            self.links[:, side] += sign * row
            self.sizes[side] += sign
        self.membership[label] = part

    def shake(self, rng: np.random.Generator) -> Membership:
        """Throw a quarter of the labels into any part."""
        membership = self.membership.copy()
        chosen = rng.choice(len(membership), _shaken(len(membership)), replace=False)
        membership[chosen] = rng.integers(self.num_parts, size=len(chosen))
        return fill_parts(self.weights, membership, self.num_parts, self.min_size)


class Swaps:
    """Affinity inside parts under swaps of two labels, so that sizes stay."""

    def __init__(self, weights: Weights, membership: Membership, num_parts: int) -> None:
        self.weights, self.membership = weights, membership.copy()
        self.links = part_links(weights, membership, num_parts)
        self.rows = np.arange(len(membership))
        self.value = float(self.links[self.rows, membership].sum()) / 2

    def copy(self) -> Self:
        """Copy what steps change."""
        return _copied(self, "membership", "links")

    def step(self, locked: NDArray[np.bool_]) -> bool:
        """Swap the best pairs among those of the most promising labels."""
        here = self.membership
        rise = self.links - self.links[self.rows, here][:, None]  # of moving each label
        candidates = self._candidates(rise, locked)
        rows = _rows(self.weights, candidates)
        change = rise[candidates][:, here] + rise[:, here[candidates]].T - 2 * rows
        closed = locked[None, :] | (here[candidates][:, None] == here[None, :])
        change[closed] = np.inf
        if not change.size or change.min() == np.inf:
            return False
        pairs = candidates, change.argmin(axis=1)
        order = np.argsort(change.min(axis=1), kind="stable")[: changes(len(here))]
        for number, row in enumerate(order.tolist()):
            label, other = int(pairs[0][row]), int(pairs[1][row])
            change_now = self._change(label, other, rows[row, other])
            if number == 0 or (change_now < -EPSILON and not locked[[label, other]].any()):
                self.value += change_now
                self._swap(label, other, _rows(self.weights, np.array([other]))[0] - rows[row])
                locked[[label, other]] = True
        return True

    def _change(self, label: int, other: int, weight: float) -> float:
        mine, its = self.membership[label], self.membership[other]
        links = self.links
        rise = links[label, its] - links[label, mine] + (links[other, mine] - links[other, its])
        return float(rise - 2 * weight)

    def _candidates(self, rise: Links, locked: NDArray[np.bool_]) -> NDArray[np.intp]:
        rise[self.rows, self.membership] = np.inf
        least = rise.min(axis=1)
        rise[self.rows, self.membership] = 0.0
        least[locked] = np.inf
        most = max(-(-SWAPS // len(least)), changes(len(least)))
        most = min(most, len(least) - int(locked.sum()))
        return np.argpartition(least, most - 1)[:most] if most > 0 else np.empty(0, np.intp)

    def _swap(self, label: int, other: int, shift: Links) -> None:
        mine, its = self.membership[label], self.membership[other]
        self.links[:, mine] += shift
        self.links[:, its] -= shift
        self.membership[label], self.membership[other] = its, mine

    def shake(self, rng: np.random.Generator) -> Membership:
        """Shuffle the parts of a quarter of the labels."""
        membership = self.membership.copy()
        chosen = rng.choice(len(membership), _shaken(len(membership)), replace=False)
        membership[chosen] = membership[rng.permutation(chosen)]
        return membership


def _copied(search: S, *names: str) -> S:
    other = copy.copy(search)
    for name in names:
        setattr(other, name, getattr(search, name).copy())
    return other


def improve(
    search: Callable[[Membership], Search],
    first: list[Membership],
    rng: np.random.Generator,
) -> Membership:
    """Search from every first assignment, then around the best one.

    Parameters
    ----------
    search
        Makes the search that starts from an assignment.
    first
        Assignments to start from; each of shape (C,), intp.
    rng
        Source of the perturbations.

    Returns
    -------
    numpy.ndarray
        The best assignment found; shape (C,), intp.
    """
    best = min((_descend(search, start) for start in first), key=lambda found: found.value)
    for _ in range(effort(ROUNDS, len(best.membership))):
        found = _descend(search, best.shake(rng))
        if found.value < best.value - EPSILON:
            best = found
    return best.membership


def _descend(search: Callable[[Membership], Search], membership: Membership) -> Search:
    """Repeat passes until one brings nothing."""
    state = search(membership)
    while True:
        better = search(_best_of_pass(state.copy()))
        if better.value >= state.value - EPSILON:
            return state
        state = better


def _best_of_pass(state: Search) -> Membership:
    """Step on, better or worse, and return the best assignment passed."""
    locked = np.zeros(len(state.membership), dtype=np.bool_)
    best, value, stale = state.membership.copy(), state.value, 0
    while stale < PATIENCE and state.step(locked):
        stale += 1
        if state.value < value - EPSILON:
            best, value, stale = state.membership.copy(), state.value, 0
    return best


def effort(most: int, num_labels: int) -> int:
    """Scale a number of searches down beyond 100 labels, so that time grows slowly."""
    return max(1, min(most, int(most * (100 / num_labels) ** 1.5)))


def _shaken(num_labels: int) -> int:
    return max(2, num_labels // 4)


def changes(num_labels: int) -> int:
    """Count the changes that one step makes at most."""
    return max(1, num_labels // LABELS_A_CHANGE)


def fill_parts(
    weights: Weights, membership: Membership, num_parts: int, min_size: int
) -> Membership:
    """Bring every part to its least size with the labels that suit it best."""
    membership = membership.copy()
    rows = np.arange(len(membership))
    for part in range(num_parts):
        while np.count_nonzero(membership == part) < min_size:
            links = part_links(weights, membership, num_parts)
            gains = links[:, part] - links[rows, membership]
            spare = np.bincount(membership, minlength=num_parts) > min_size
            gains[~spare[membership] | (membership == part)] = -np.inf
            membership[gains.argmax()] = part
    return membership


def part_links(weights: Weights, membership: Membership, num_parts: int) -> Links:
    """Affinity of every label to every part; shape (C, K)."""
    if isinstance(weights, np.ndarray):
        return weights @ np.eye(num_parts)[membership]
    size = len(membership)
    marks = sparse.csr_array(
        (np.ones(size), (np.arange(size), membership)), shape=(size, num_parts)
    )
    links: Links = (weights @ marks).toarray()
    return links


def part_sums(weights: Weights, membership: Membership, num_parts: int) -> tuple[Links, Links]:
    """Affinity inside each part (both directions) and volume of each part; shape (K,) each."""
    return _sums(part_links(weights, membership, num_parts), membership)


def _sums(links: Links, membership: Membership) -> tuple[Links, Links]:
    between = np.eye(links.shape[1])[membership].T @ links
    return between.diagonal().copy(), between.sum(axis=1)


def _rows(weights: Weights, labels: NDArray[np.intp]) -> Links:
    rows: Links = weights[labels] if isinstance(weights, np.ndarray) else weights[labels].toarray()
    return rows


def held(inside: Links, volume: Links) -> Links:
    """Share of a part's volume that stays inside; 0 where there is no volume."""
    share: Links = np.divide(inside, volume, out=np.zeros(inside.shape), where=volume > EPSILON)
    return share

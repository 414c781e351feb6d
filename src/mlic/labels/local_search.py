"""Local search over partitions: Kernighan-Lin passes inside an iterated local search.

Every step of a pass takes the best change still open, better or worse, and locks what it touched;
the pass is cut back to the best assignment it went through [1]_. Passes are repeated from several
first assignments, then from perturbations of the best.

References
----------
.. [1] Kernighan and Lin, "An efficient heuristic procedure for partitioning graphs", Bell System
   Technical Journal 49, 1970; Fiduccia and Mattheyses, DAC 1982, for moves of single labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "EPSILON",
    "Moves",
    "Search",
    "Swaps",
    "effort",
    "fill_parts",
    "held",
    "improve",
    "part_sums",
]

Membership = NDArray[np.intp]
Weights = NDArray[np.float64]

EPSILON = 1e-12
PATIENCE = 40  # steps without a new best after which a pass ends
SWAPS = 4096  # swaps weighed in one step: those of the most promising labels
ROUNDS = 60  # perturbations for up to 100 labels, fewer beyond


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


class Moves:
    """Normalised cut under moves of one label to another part."""

    def __init__(
        self, weights: Weights, membership: Membership, num_parts: int, min_size: int
    ) -> None:
        self.weights, self.membership = weights, membership.copy()
        self.num_parts, self.min_size = num_parts, min_size
        self.degree = weights.sum(axis=1)
        self.links = weights @ _one_hot(membership, num_parts)
        self.sizes = np.bincount(membership, minlength=num_parts)
        self.inside, self.volume = part_sums(weights, membership, num_parts)
        self.rows = np.arange(len(weights))

    @property
    def value(self) -> float:
        """Normalised cut."""
        return float(np.sum(1.0 - held(self.inside, self.volume)))

    def _gains(self) -> Weights:
        """How much more the parts hold together after each move; shape (C, K)."""
        here, degree = self.membership, self.degree
        now = held(self.inside, self.volume)
        own = self.links[self.rows, here]
        left = held(self.inside[here] - 2 * own, self.volume[here] - degree) - now[here]
        joined = held(self.inside + 2 * self.links, self.volume + degree[:, None]) - now
        return joined + left[:, None]

    def step(self, locked: NDArray[np.bool_]) -> bool:
        """Move the label that gains most, or loses least."""
        gains = self._gains()
        gains[locked | (self.sizes <= self.min_size)[self.membership]] = -np.inf
        gains[self.rows, self.membership] = -np.inf
        label, part = divmod(int(gains.argmax()), self.num_parts)
        if gains[label, part] == -np.inf:
            return False
        self._move(label, part)
        locked[label] = True
        return True

    def _move(self, label: int, part: int) -> None:
        for side, sign in ((int(self.membership[label]), -1), (part, 1)):
            self.inside[side] += 2 * sign * self.links[label, side]
            self.volume[side] += sign * self.degree[label]
            self.links[:, side] += sign * self.weights[label]
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
        self.links = weights @ _one_hot(membership, num_parts)
        self.rows = np.arange(len(weights))
        self.value = float(self.links[self.rows, membership].sum()) / 2

    def step(self, locked: NDArray[np.bool_]) -> bool:
        """Swap the best pair among those of the most promising labels."""
        here = self.membership
        rise = self.links - self.links[self.rows, here][:, None]  # of moving each label
        candidates = self._candidates(rise, locked)
        change = (
            rise[candidates][:, here] + rise[:, here[candidates]].T - 2 * self.weights[candidates]
        )
        closed = locked[None, :] | (here[candidates][:, None] == here[None, :])
        change[closed] = np.inf
        if not change.size or change.min() == np.inf:
            return False
        row, other = divmod(int(change.argmin()), len(here))
        self.value += float(change[row, other])
        self._swap(int(candidates[row]), other)
        locked[[candidates[row], other]] = True
        return True

    def _candidates(self, rise: Weights, locked: NDArray[np.bool_]) -> NDArray[np.intp]:
        rise[self.rows, self.membership] = np.inf
        least = rise.min(axis=1)
        rise[self.rows, self.membership] = 0.0
        least[locked] = np.inf
        most = min(-(-SWAPS // len(least)), len(least) - int(locked.sum()))
        return np.argpartition(least, most - 1)[:most] if most > 0 else np.empty(0, np.intp)

    def _swap(self, label: int, other: int) -> None:
        mine, its = self.membership[label], self.membership[other]
        shift = self.weights[other] - self.weights[label]
        self.links[:, mine] += shift
        self.links[:, its] -= shift
        self.membership[label], self.membership[other] = its, mine

    def shake(self, rng: np.random.Generator) -> Membership:
        """Shuffle the parts of a quarter of the labels."""
        membership = self.membership.copy()
        chosen = rng.choice(len(membership), _shaken(len(membership)), replace=False)
        membership[chosen] = membership[rng.permutation(chosen)]
        return membership


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
        better = search(_best_of_pass(search(state.membership)))
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
    return max(2, min(most, 100 * most // num_labels))


def _shaken(num_labels: int) -> int:
    return max(2, num_labels // 4)


def fill_parts(
    weights: Weights, membership: Membership, num_parts: int, min_size: int
) -> Membership:
    """Bring every part to its least size with the labels that suit it best."""
    membership = membership.copy()
    rows = np.arange(len(weights))
    for part in range(num_parts):
        while np.count_nonzero(membership == part) < min_size:
            links = weights @ _one_hot(membership, num_parts)
            gains = links[:, part] - links[rows, membership]
            spare = np.bincount(membership, minlength=num_parts) > min_size
            gains[~spare[membership] | (membership == part)] = -np.inf
            membership[gains.argmax()] = part
    return membership


def _one_hot(membership: Membership, num_parts: int) -> Weights:
    return np.eye(num_parts)[membership]


def part_sums(weights: Weights, membership: Membership, num_parts: int) -> tuple[Weights, Weights]:
    """Affinity inside each part (both directions) and volume of each part; shape (K,) each."""
    marks = _one_hot(membership, num_parts)
    between = marks.T @ (weights @ marks)
    return between.diagonal().copy(), between.sum(axis=1)


def held(inside: Weights, volume: Weights) -> Weights:
    """Share of a part's volume that stays inside; 0 where there is no volume."""
    share: Weights = np.divide(inside, volume, out=np.zeros(inside.shape), where=volume > EPSILON)
    return share

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

from operator import itemgetter
from typing import TYPE_CHECKING, Protocol

from mlic.labels.partition.part_sums import EPSILON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mlic.labels.partition.part_sums import Membership

__all__ = ["Search", "changes", "effort", "improve"]

PATIENCE = 20  # steps without a new best after which a pass ends
ROUNDS = 80  # perturbations for up to 100 labels, fewer beyond
LABELS_A_CHANGE = 500  # a step makes one change for every so many labels, at least one


class Search(Protocol):
    """An assignment on its way through one pass, with an objective to lower."""

    membership: Membership

    @property
    def value(self) -> float:
        """What the search lowers."""

    def step(self) -> bool:
        """Make the best change to labels that are not locked and lock them; False if none."""


def improve(
    search: Callable[[Membership], Search],
    shake: Callable[[Membership], Membership],
    first: Iterable[Membership],
) -> Membership:
    """Search from every first assignment, then around the best one.

    Parameters
    ----------
    search
        Makes the search that starts from an assignment and leaves that alone.
    shake
        Gives an assignment with a random change of some labels.
    first
        Assignments to start from; each of shape (C,), intp.

    Returns
    -------
    numpy.ndarray
        The best assignment found; shape (C,), intp.
    """
    value, best = min((_descend(search, start) for start in first), key=itemgetter(0))
    for _ in range(effort(ROUNDS, len(best))):
        lower, found = _descend(search, shake(best))
        if lower < value - EPSILON:
            value, best = lower, found
    return best


def _descend(
    search: Callable[[Membership], Search], membership: Membership
) -> tuple[float, Membership]:
    """Repeat passes until one brings nothing."""
    state = search(membership)
    value = state.value
    while True:
        found = _best_of_pass(state)
        state = search(found)
        if state.value >= value - EPSILON:
            return value, membership
        value, membership = state.value, found


def _best_of_pass(state: Search) -> Membership:
    """Step on, better or worse, and return the best assignment passed."""
    best, value, stale = state.membership.copy(), state.value, 0
    while stale < PATIENCE and state.step():
        stale += 1
        if state.value < value - EPSILON:
            best, value, stale = state.membership.copy(), state.value, 0
    return best


def effort(most: int, num_labels: int) -> int:
    """Scale a number of searches down beyond 100 labels, so that time grows slowly."""
    return max(1, min(most, int(most * (100 / num_labels) ** 2)))


def changes(num_labels: int) -> int:
    """Count the changes that one step makes at most."""
    return max(1, num_labels // LABELS_A_CHANGE)

"""Local search over partitions: Kernighan-Lin passes inside an iterated local search.

Each step of a pass makes the best change that is still allowed, whether it improves the objective
or not, and locks the labels that it changed. At the end the pass returns to the best assignment it
visited [1]_. Passes are repeated from several initial assignments, then from random perturbations
of the best assignment. With many labels one step makes several good changes at once; with one
change a step, the time of a pass would grow with the square of the number of labels.

References
----------
.. [1] Kernighan and Lin, "An efficient heuristic procedure for partitioning graphs", Bell System
   Technical Journal 49, 1970; Fiduccia and Mattheyses, DAC 1982, for moves of single labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Protocol

from mlic.labels.partition.part_sums import EPSILON, Membership

__all__ = ["Search", "improve", "max_changes", "scaled_effort"]

PATIENCE = 20  # a pass ends after so many steps without a new best assignment
PERTURBATIONS = 80  # for up to 100 labels, fewer for more labels
LABELS_PER_CHANGE = 500  # a step makes one change for every so many labels, at least one


class Search(Protocol):
    """State of one pass: an assignment of labels to parts, with an objective to lower."""

    membership: Membership

    @property
    def value(self) -> float:
        """Objective of the current assignment."""

    def step(self) -> bool:
        """Make the best change to labels that are not locked and lock them; False if none."""


def improve(
    search: Callable[[Membership], Search],
    perturb: Callable[[Membership], Membership],
    initial: Iterable[Membership],
) -> Membership:
    """Search from every initial assignment, then from perturbations of the best; return the best.

    Assignments have the shape (C,), intp. ``search`` and ``perturb`` must not change their
    argument.
    """
    value, best = min((_descend(search, start) for start in initial), key=itemgetter(0))
    for _ in range(scaled_effort(PERTURBATIONS, len(best))):
        lower, found = _descend(search, perturb(best))
        if lower < value - EPSILON:
            value, best = lower, found
    return best


def _descend(
    search: Callable[[Membership], Search], membership: Membership
) -> tuple[float, Membership]:
    """Repeat passes until one brings no improvement."""
    state = search(membership)
    value = state.value
    while True:
        found = _best_of_pass(state)
        state = search(found)  # computes all sums again, so rounding errors do not accumulate
        if state.value >= value - EPSILON:
            return value, membership
        value, membership = state.value, found


def _best_of_pass(state: Search) -> Membership:
    """Make steps, better or worse, and return the best assignment visited."""
    best, value, stale = state.membership.copy(), state.value, 0
    while stale < PATIENCE and state.step():
        stale += 1
        if state.value < value - EPSILON:
            best, value, stale = state.membership.copy(), state.value, 0
    return best


def scaled_effort(most: int, num_labels: int) -> int:
    """Reduce a number of searches for more than 100 labels, so that the time grows slowly."""
    return max(1, min(most, int(most * (100 / num_labels) ** 2)))


def max_changes(num_labels: int) -> int:
    """Return the largest number of changes that one step makes."""
    return max(1, num_labels // LABELS_PER_CHANGE)

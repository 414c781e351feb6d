"""Label-mask training: which label states a model is shown, and therefore does not learn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mlic.errors import LabelError
from mlic.evaluation.known_labels import draw_subset
from mlic.labels import UNKNOWN, LabelSpace
from mlic.models.options import HEADS
from mlic.training.job import TrainingJob
from mlic.training.options import LabelMaskOptions
from mlic.utils.plugins import find_plugin
from mlic.utils.seeds import derive_seed

__all__ = ["LabelMask", "draw_known"]

Draw = Callable[[NDArray[np.int8]], NDArray[np.int8]]


class LabelMask:
    """Draws the states that are shown, anew for every image and every epoch [1]_.

    Parameters
    ----------
    parts
        Labels and seed of each training whose labels lie side by side. Each draws from a stream of
        its own, so that a training does not depend on the others.
    options
        How many states are shown, and which never.

    Raises
    ------
    LabelError
        If a pattern of `never_known` fits no label.

    References
    ----------
    .. [1] Lanchantin et al., "General multi-label image classification with transformers", CVPR
       2021, arXiv:2011.14027.
    """

    def __init__(self, parts: Sequence[tuple[LabelSpace, int]], options: LabelMaskOptions) -> None:
        self.options = options
        self._columns = [_find_columns(space, options.never_known) for space, _ in parts]
        self._sizes = [len(space) for space, _ in parts]
        self._seeds = [derive_seed(seed, "label mask") for _, seed in parts]
        names = [name for space, _ in parts for name in space.names]
        for pattern in options.never_known:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise LabelError(
                    f"training.label_mask.never_known: no label fits '{pattern}'; correct it",
                    label=pattern,
                )

    @classmethod
    def for_jobs(cls, jobs: Sequence[TrainingJob]) -> Self | None:
        """Mask for trainings side by side; None if their head cannot use known labels."""
        options = jobs[0].options.label_mask
        if not find_plugin(HEADS, jobs[0].model.head).uses_known or options.max_known == 0:
            return None
        return cls([(job.labels.space, job.seed) for job in jobs], options)

    def start(self, epoch: int) -> Draw:
        """Return a function that draws the known states of the next batch of an epoch.

        It takes states of shape (B, C) and returns known states of the same shape: 1, 0 or −1.
        """
        # Seeded by the epoch, so that a training which is resumed draws the same masks.
        streams = [np.random.default_rng([seed, epoch]) for seed in self._seeds]

        def draw(states: NDArray[np.int8]) -> NDArray[np.int8]:
            parts = np.split(states, np.cumsum(self._sizes)[:-1], axis=1)
            shown = [
                draw_known(part, allowed, self.options, rng)
                for part, allowed, rng in zip(parts, self._columns, streams, strict=True)
            ]
            return np.concatenate(shown, axis=1)

        return draw


def draw_known(
    states: NDArray[np.int8],
    columns: NDArray[np.intp],
    options: LabelMaskOptions,
    rng: np.random.Generator,
) -> NDArray[np.int8]:
    """Choose how many states of each image are known, uniformly, then which ones, uniformly.

    Parameters
    ----------
    states
        Label states; shape (B, C). Those that are unknown stay so if they are chosen.
    columns
        Labels that may be known; shape (A,). At most the share ``max_known`` of them is.
    options
        The largest share, and the share of the known states that is wrong.
    rng
        Source of the random numbers.

    Returns
    -------
    numpy.ndarray
        Known states; int8, shape (B, C).

    Examples
    --------
    >>> states = np.array([[1, 0, -1, 0]], dtype=np.int8)
    >>> options = LabelMaskOptions(max_known=1)
    >>> draw_known(states, np.array([0, 2]), options, np.random.default_rng(3)).tolist()
    [[1, -1, -1, -1]]
    """
    given = states[:, columns]
    chosen = draw_subset(given, options.max_known, rng)
    if options.flipped:
        is_wrong = (rng.random(given.shape) < options.flipped) & (given != UNKNOWN)
        given = np.where(is_wrong, 1 - given, given)
    known = np.full_like(states, UNKNOWN)
    known[:, columns] = np.where(chosen, given, UNKNOWN)
    return known


def _find_columns(space: LabelSpace, never_known: Sequence[str]) -> NDArray[np.intp]:
    allowed = [
        not any(fnmatchcase(name, pattern) for pattern in never_known) for name in space.names
    ]
    return np.flatnonzero(allowed)

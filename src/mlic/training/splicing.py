"""Spliced images: several images of a batch side by side in the cells of a grid (SpliceMix)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from mlic.errors import TrainingError
from mlic.labels import UNKNOWN
from mlic.training.job import TrainingJob
from mlic.training.options import SpliceOptions
from mlic.utils.seeds import derive_seed

__all__ = ["Draw", "Splicer", "Splices", "cut_cells", "join_states"]

GRIDS = ((1, 2), (2, 2), (2, 3))  # rows and columns, before a random transposition
SHARES = (0.3, 0.4, 0.3)  # of the batches
NO_GROUP = -1  # of an image without a label


@dataclass(frozen=True)
class Splices:
    """Spliced images of one batch.

    Parameters
    ----------
    images
        Shape (S, 3, H, W), as the images of the batch.
    states
        A label is present if a cell has it, absent if all cells lack it; shape (S, C), int8.
    sources
        Position in the batch of the image of each cell, row by row; shape (S, rows · columns).
    kept
        Whether a cell shows its image; the others are blank. Same shape as `sources`.
    grid
        Rows and columns.
    """

    images: torch.Tensor
    states: torch.Tensor
    sources: torch.Tensor
    kept: torch.Tensor
    grid: tuple[int, int]


Draw = Callable[[torch.Tensor, torch.Tensor], Splices | None]


class Splicer:
    """Draws the spliced images of every batch [1]_, by random numbers of its own.

    Parameters
    ----------
    options
        How many images are spliced, and of which partners.
    seed
        Seed of the training.
    membership
        Group of each label, shape (C,); None if partners do not depend on groups.

    References
    ----------
    .. [1] Wang et al., "SpliceMix: a cross-scale and semantic blending augmentation strategy for
       multi-label image classification", IEEE Transactions on Multimedia 2025, arXiv:2311.15200.
    """

    def __init__(
        self, options: SpliceOptions, seed: int, membership: NDArray[np.intp] | None = None
    ) -> None:
        self.options, self.membership = options, membership
        self._seed = derive_seed(seed, "splices")

    @classmethod
    def for_job(cls, job: TrainingJob) -> Self | None:
        """Splicer of a training; None if it has no spliced images.

        Partners by groups without a partition are a `TrainingError`.
        """
        options = job.options.splice
        if not options.share:
            return None
        if options.partners == "random":
            return cls(options, job.seed)
        if job.context.partition is None:
            raise TrainingError(
                f"{job.name}: training.splice.partners is '{options.partners}', but there is no "
                "partition: give one as splice_groups",
                name=job.name,
                parameter="training.splice.partners",
            )
        return cls(options, job.seed, job.context.partition.membership)

    def start(self, epoch: int, skip: int = 0) -> Draw:
        """Return a function that splices the images of the next batch of an epoch.

        The first call is for the batch after so many that are skipped.

        It takes images of shape (B, 3, H, W) and states of shape (B, C); a batch that is too small
        for one spliced image yields None.
        """
        numbers = count(skip)

        def draw(images: torch.Tensor, states: torch.Tensor) -> Splices | None:
            # seeded by the batch, so that a training which is resumed draws the same
            rng = np.random.default_rng([self._seed, epoch, next(numbers)])
            rows, columns = GRIDS[rng.choice(len(GRIDS), p=SHARES)]
            grid = (columns, rows) if rng.random() < 0.5 else (rows, columns)
            number = round(self.options.share * len(images))
            if not number:
                return None
            sources = self._choose(states.cpu().numpy(), number, rows * columns, rng)
            kept = _draw_kept(sources.shape, self.options.blank, rng)
            return _splice(images, states, sources, kept, grid)

        return draw

    def _choose(
        self, states: NDArray[np.int8], number: int, cells: int, rng: np.random.Generator
    ) -> NDArray[np.intp]:
        """Choose the images of each spliced image; shape (number, cells)."""
        groups = self._groups(states)
        sources = np.empty((number, cells), dtype=np.intp)
        for own, first in zip(sources, rng.permutation(len(states))[:number], strict=True):
            others = rng.permutation(np.delete(np.arange(len(states)), first))
            same = groups[others] == groups[first]
            wanted = {"same_group": same, "other_group": ~same}.get(self.options.partners)
            if wanted is not None:  # images of the wanted groups first; a batch may have too few
                others = others[np.argsort(~wanted, kind="stable")]
            # a batch smaller than the grid shows images twice
            own[:] = np.resize(np.concatenate([[first], others[: cells - 1]]), cells)
        return sources

    def _groups(self, states: NDArray[np.int8]) -> NDArray[np.intp]:
        """Group that most labels of each image are in; shape (B,)."""
        if self.membership is None:
            return np.full(len(states), NO_GROUP)
        members = np.eye(self.membership.max() + 1)[self.membership]
        counts = (states == 1) @ members
        return np.where(counts.any(axis=1), counts.argmax(axis=1), NO_GROUP)


def _draw_kept(shape: tuple[int, ...], blank: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Blank one cell or more, but not all, of a share of the spliced images."""
    number, cells = shape
    blanks = np.where(rng.random(number) < blank, rng.integers(1, cells, number), 0)
    ranks = rng.permuted(np.tile(np.arange(cells), (number, 1)), axis=1)
    kept: NDArray[np.bool_] = ranks >= blanks[:, None]
    return kept


def _splice(
    images: torch.Tensor,
    states: torch.Tensor,
    sources: NDArray[np.intp],
    kept: NDArray[np.bool_],
    grid: tuple[int, int],
) -> Splices:
    (rows, columns), (height, width) = grid, images.shape[-2:]
    chosen, shown = (torch.from_numpy(array).to(images.device) for array in (sources, kept))
    # rounded up: what reaches beyond the edge is cut off
    side = -(-height // rows), -(-width // columns)
    small = interpolate(images, size=side, mode="bilinear", antialias=True, align_corners=False)
    # 0 is the mean of the training pixels, or black without normalisation
    cells = small[chosen] * shown[..., None, None, None].to(small.dtype)
    parts = cells.reshape(len(sources), rows, columns, 3, *side).permute(0, 3, 1, 4, 2, 5)
    joined = parts.reshape(len(sources), 3, rows * side[0], columns * side[1])
    whole = joined[..., :height, :width].contiguous(memory_format=torch.channels_last)
    return Splices(whole, join_states(states[chosen], shown), chosen, shown, grid)


def join_states(states: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Join the label states of cells: present in one, absent in all, or unknown.

    Examples
    --------
    >>> states = torch.tensor([[[1, 0, 0, 1], [0, 0, -1, 0]]], dtype=torch.int8)
    >>> join_states(states, torch.tensor([[True, True]])).tolist()
    [[1, 0, -1, 1]]
    >>> join_states(states, torch.tensor([[False, True]])).tolist()
    [[0, 0, -1, 0]]
    """
    shown = kept[..., None]
    present = ((states == 1) & shown).any(dim=1)
    unknown = ((states == UNKNOWN) & shown).any(dim=1)
    return torch.where(present, 1, torch.where(unknown, UNKNOWN, 0)).to(states.dtype)


def cut_cells(maps: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Cut the feature maps of spliced images into those of their cells.

    The head pools each of them as it pools those of whole images. (The paper takes the maximum,
    because its head does; a head that takes the mean would see features that are too large.)

    Parameters
    ----------
    maps
        Feature maps, shape (S, F, h, w). A side that the grid does not divide is interpolated to
        the next multiple.
    grid
        Rows and columns.

    Returns
    -------
    torch.Tensor
        Shape (S · rows · columns, F, h / rows, w / columns), row by row.

    Raises
    ------
    TrainingError
        If the features are no maps, as those of a vision transformer.
    """
    if maps.ndim != 4:
        raise TrainingError(
            "training.splice.consistency needs a backbone whose features are maps: set it to 0",
            parameter="training.splice.consistency",
        )
    size = [-(-side // parts) * parts for side, parts in zip(maps.shape[-2:], grid, strict=True)]
    if size != list(maps.shape[-2:]):
        maps = interpolate(maps, size=size, mode="bilinear", align_corners=False)
    (images, features, height, width), (rows, columns) = maps.shape, grid
    cells = maps.reshape(images, features, rows, height // rows, columns, width // columns)
    return cells.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)

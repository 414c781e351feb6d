"""Refiner: what the known labels of an image say about its other labels, for any model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from mlic.utils.strict_model import StrictModel

if TYPE_CHECKING:
    from mlic.labels.statistics import LabelStatistics

__all__ = ["Refiner"]


class Refiner(StrictModel):
    r"""Change log-odds by the labels that are known, through the graph of co-occurrence.

    .. math:: o'_c = o_c + \alpha \sum_{d\ \text{present}} J_{cd}\,(1 - p_d)
              - \beta \sum_{d\ \text{absent}} J_{cd}\, p_d, \qquad p = \sigma(o)

    where J are the `mlic.evaluation.refinement.influences` of the training labels. A known state
    counts by how much it surprises the model: a fork that the model sees anyway changes little.
    Where nothing is known, the log-odds stay as they are. Rawlekar et al. (ICPR 2024) refine logits
    by co-occurrence too, without known labels.

    Examples
    --------
    >>> pairs = ((0, 1, 30.0), (1, 0, 30.0))
    >>> refiner = Refiner(
    ...     images=100, counts=(40.0, 40.0), pairs=pairs, shrinkage=1.0, present=0.5, absent=0.0
    ... )
    >>> refiner.refine(np.zeros((1, 2)), np.array([[1, -1]])).round(2).tolist()
    [[0.0, 0.36]]
    """

    images: float = Field(description="number of training images N")
    counts: tuple[float, ...] = Field(description="training images with each label")
    pairs: tuple[tuple[int, int, float], ...] = Field(
        description="c, d, and the images with d that have c, if they are not 0"
    )
    shrinkage: float = Field(gt=0, description="images of each label without any influence")
    present: float = Field(ge=0, description="factor of known presences, α")
    absent: float = Field(ge=0, description="factor of known absences, β")

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        size = len(self.counts)
        if any(not (0 <= c < size and 0 <= d < size) for c, d, _ in self.pairs):
            raise ValueError("pairs must name labels by their numbers from 0")
        return self

    @classmethod
    def from_statistics(cls, statistics: LabelStatistics, shrinkage: float) -> Self:
        """Take the influences from label statistics, with factors of 0."""
        # Scaled to all images, and to all with d, where some states are unknown.
        images = statistics.num_images
        counts = statistics.counts * images / np.maximum(statistics.known.diagonal(), 1)
        together = statistics.conditional * counts
        rows, columns = np.nonzero(together)
        values = together[rows, columns].round(3)
        return cls(
            images=images,
            counts=tuple(counts.round(3).tolist()),
            pairs=tuple(zip(rows.tolist(), columns.tolist(), values.tolist(), strict=True)),
            shrinkage=shrinkage,
            present=0.0,
            absent=0.0,
        )

    @property
    def influence(self) -> NDArray[np.float64]:
        """J: how much the presence of label d (column) shifts label c (row); shape (C, C)."""
        from mlic.evaluation.refinement import influences

        size = len(self.counts)
        together, pairs = np.zeros((size, size)), np.array(self.pairs).reshape(-1, 3)
        together[pairs[:, 0].astype(int), pairs[:, 1].astype(int)] = pairs[:, 2]
        return influences(self.images, np.asarray(self.counts), together, self.shrinkage)

    def refine(self, odds: NDArray[np.floating], known: NDArray[np.integer]) -> NDArray[np.float64]:
        """Change log-odds by known states (1, 0, −1 unknown); shape (n, C) each."""
        from mlic.evaluation.refinement import surprises

        present, absent = surprises(odds, known)
        refined: NDArray[np.float64] = (
            odds + (self.present * present + self.absent * absent) @ self.influence.T
        )
        return refined

"""Size and normalisation of the images that a model takes."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["InputSpec"]


class InputSpec(NamedTuple):
    """Size and normalisation of a model's input.

    Parameters
    ----------
    size
        Side of the square input, in pixels.
    mean, std
        Mean and standard deviation of each channel, for pixels in [0, 1].

    Examples
    --------
    >>> InputSpec.without_normalisation(224)
    InputSpec(size=224, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def without_normalisation(cls, size: int) -> InputSpec:
        """Input whose pixels stay in [0, 1]."""
        # as in PSD's release, which applies no normalisation
        return cls(size, (0.0,) * 3, (1.0,) * 3)

"""What a person may choose about class-activation maps."""

from __future__ import annotations

from pydantic import Field

from mlic.utils.strict_model import StrictModel

__all__ = ["ExplainOptions"]


class ExplainOptions(StrictModel):
    """How many maps are made and shown, how fine they are, and what counts as a hit.

    Examples
    --------
    >>> ExplainOptions().tolerance_pixels(side=500)
    15
    """

    images: int = Field(
        default=200, ge=1, description="test images that are mapped, the first by a hash of id"
    )
    examples: int = Field(
        default=4, ge=0, description="labels of which the report shows maps, most frequent first"
    )
    min_cells: int = Field(
        default=6,
        ge=1,
        description="cells a side that a map has at least: of small images, maps are taken "
        "from an earlier stage of the backbone than the last",
    )
    tolerance: float = Field(
        default=0.03,
        ge=0,
        le=0.5,
        description="how far beside a thing still counts as pointing at it, as a share of the "
        "image's side; 0.03 are the 15 pixels of Zhang et al. (2016) at VOC's 500",
    )

    def tolerance_pixels(self, side: int) -> int:
        """Tolerance in whole pixels of an image of this side."""
        return round(self.tolerance * side)

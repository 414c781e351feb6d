"""Configuration of class maps and of the pointing game."""

from pydantic import Field

from mlic.utils.strict_model import StrictModel

__all__ = ["ExplainOptions"]


class ExplainOptions(StrictModel):
    """Number and resolution of the class maps, and tolerance of the pointing game.

    Examples
    --------
    >>> ExplainOptions().tolerance_pixels(side=500)
    15
    """

    images: int = Field(
        default=200, ge=1, description="number of test images to map, chosen by a hash of their id"
    )
    examples: int = Field(
        default=4,
        ge=0,
        description="number of labels whose maps are shown in the report, most frequent first",
    )
    min_cells: int = Field(
        default=6,
        ge=1,
        description="smallest number of cells along a side of a map; for small images an earlier "
        "stage of the backbone than the last is used",
    )
    tolerance: float = Field(
        default=0.03,
        ge=0,
        le=0.5,
        description="largest distance from the object that still counts as a hit, as a fraction "
        "of the image's side; 0.03 equals the 15 pixels of Zhang et al. (2016) at VOC's 500",
    )

    def tolerance_pixels(self, side: int) -> int:
        """Return the tolerance in whole pixels for images with this side length."""
        return round(self.tolerance * side)

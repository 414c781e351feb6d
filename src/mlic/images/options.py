"""What a person may choose about the pictures, as typed and checked parameters."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["DataOptions"]


class DataOptions(BaseModel):
    """Where pictures come from, how large they are kept, and how they are split.

    Examples
    --------
    >>> DataOptions(image_size=64).side
    64
    >>> DataOptions(image_size=448, store_size=512).side
    512
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Literal["scenes", "catalog"] = Field(
        default="scenes",
        description="'scenes': drawn by mlic; 'catalog': the entry raw_pictures of the environment",
    )
    image_size: int = Field(
        default=224, ge=8, description="side of the square picture the model sees, in pixels"
    )
    store_size: int | None = Field(
        default=None,
        ge=8,
        description="side of the square picture kept on disk, in pixels; null: image_size",
    )
    validation_fraction: float = Field(
        default=0.1,
        gt=0,
        le=0.5,
        description="share of the training pictures split off for validation, in (0, 0.5], "
        "where the data set declares no validation pictures",
    )
    test_fraction: float = Field(
        default=0.2,
        gt=0,
        le=0.5,
        description="share of the training pictures split off for the test, in (0, 0.5], "
        "where the data set declares no test pictures",
    )
    drop_labels_below: int | None = Field(
        default=None,
        ge=1,
        description="a label present in fewer training pictures than this is dropped; "
        "null: every label is kept",
    )
    max_unreadable: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="share of the pictures that may be unreadable, in [0, 1]; the number is "
        "rounded up, so any share above 0 forgives at least one picture",
    )

    @model_validator(mode="after")
    def _leave_training_pictures(self) -> Self:
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError("validation_fraction and test_fraction leave no training pictures")
        return self

    @property
    def side(self) -> int:
        """Side of the pictures in the store, in pixels."""
        return self.store_size or self.image_size

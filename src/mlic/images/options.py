"""What a person may choose about the images, as typed and checked parameters."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from mlic.utils.strict_model import StrictModel

__all__ = ["AugmentationOptions", "DataOptions", "SyntheticOptions"]


class DataOptions(StrictModel):
    """Where images come from, how large they are kept, and how they are split.

    Examples
    --------
    >>> DataOptions(image_size=64).side
    64
    >>> DataOptions(image_size=448, store_size=512).side
    512
    """

    source: Literal["synthetic", "catalog"] = Field(
        default="synthetic",
        description="'synthetic': drawn by mlic; 'catalog': the entry raw_images of --env",
    )
    image_size: int = Field(
        default=224, ge=8, description="side of the square image the model sees, in pixels"
    )
    store_size: int | None = Field(
        default=None,
        ge=8,
        description="side of the square image kept on disk, in pixels; null: image_size",
    )
    validation_fraction: float = Field(
        default=0.1,
        gt=0,
        le=0.5,
        description="share of the training images split off for validation, in (0, 0.5], "
        "where the data set declares no validation images",
    )
    test_fraction: float = Field(
        default=0.2,
        gt=0,
        le=0.5,
        description="share of the training images split off for the test, in (0, 0.5], "
        "where the data set declares no test images",
    )
    drop_labels_below: int | None = Field(
        default=None,
        ge=1,
        description="a label present in fewer training images than this is dropped; "
        "null: every label is kept",
    )
    max_unreadable: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="share of the images that may be unreadable, in [0, 1]; the number is "
        "rounded up, so any share above 0 forgives at least one image",
    )

    @model_validator(mode="after")
    def _leave_training_images(self) -> Self:
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError("validation_fraction and test_fraction leave no training images")
        return self

    @property
    def side(self) -> int:
        """Side of the images in the store, in pixels."""
        return self.store_size or self.image_size


class SyntheticOptions(StrictModel):
    """What the scenes look like and how their labels keep company."""

    num_images: int = Field(3000, ge=1, description="images to draw")
    size: int = Field(64, ge=32, le=512, description="side of an image, pixels")
    num_communities: int = Field(3, ge=2, le=8, description="groups of labels that keep company")
    labels_per_community: int = Field(4, ge=2, le=8, description="labels in each group")
    cross_probability: float = Field(
        0.12, ge=0, le=1, description="chance that a thing is a guest from another community"
    )
    label_noise: float = Field(
        0.03, ge=0, le=0.5, description="share of a label's present states moved to other images"
    )
    max_objects: int = Field(5, ge=1, le=12, description="most things in an image, at least 1")
    max_clutter: int = Field(4, ge=0, description="most lines and blobs of no label in an image")
    smallest: float = Field(0.24, ge=0.2, le=0.6, description="least diameter of a thing / side")
    largest: float = Field(0.42, ge=0.2, le=0.6, description="greatest diameter of a thing / side")

    @model_validator(mode="after")
    def _check_diameters(self) -> Self:
        if self.smallest > self.largest:
            raise ValueError(
                f"smallest ({self.smallest}) exceeds largest ({self.largest}): exchange the two"
            )
        return self


class AugmentationOptions(StrictModel):
    """How views differ from the stored image."""

    views: int = Field(default=4, ge=1, description="different views of each image")
    min_crop: float = Field(
        default=0.6, gt=0, le=1, description="smallest share of the image's area in a crop"
    )
    max_aspect: float = Field(
        default=1.25, ge=1, description="largest ratio of a crop's sides, either way"
    )
    flip: bool = Field(default=True, description="whether half of the views are mirrored")
    cutout: float = Field(
        default=0.0, ge=0, le=1, description="side of a box of random colour, as a share; 0: none"
    )
    rand_augment: int = Field(
        default=0, ge=0, le=9, description="random operations a view, each applied half the time"
    )

"""Nodes of the data preparation: draw or take images, decode them once, split their labels."""

from __future__ import annotations

import logging
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlic.errors import DataError
from mlic.images.options import DataOptions, SyntheticOptions
from mlic.utils.seeds import derive_seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pandas import DataFrame

    from mlic.images.records import ImageRecords
    from mlic.images.store import ImageStore
    from mlic.labels import LabelMatrix

    Masks = dict[str, NDArray[np.uint8]]
else:  # Kedro reads the annotations as it starts, and needs only those of parameters
    DataFrame = ImageRecords = ImageStore = LabelMatrix = Masks = Any

__all__ = ["decode_images", "draw_scenes", "split_images"]

logger = logging.getLogger(__name__)


def draw_scenes(scenes: SyntheticOptions, seed: int) -> tuple[ImageRecords, Masks]:
    """Draw the synthetic scenes.

    Parameters
    ----------
    scenes
        What to draw.
    seed
        The run's seed.

    Returns
    -------
    synthetic_images : ImageRecords
        The n scenes, encoded.
    synthetic_masks : dict
        Under ``"masks"`` where in the images the objects are; uint8, shape (n, H, W).
    """
    from mlic.images.synthetic import scenes as drawn

    images, masks = drawn.draw_scenes(scenes, derive_seed(seed, "scenes"))
    return images, {"masks": masks}


def decode_images(
    raw_images: ImageRecords, data: DataOptions, images_folder: Path
) -> tuple[ImageStore, DataFrame]:
    """Decode the images to the store on disk, and set the unreadable ones aside.

    Parameters
    ----------
    raw_images
        Encoded images.
    data
        Gives the side of the store and how many images may be unreadable.
    images_folder
        Where the store lies.

    Returns
    -------
    images : ImageStore
        The readable images, in the order of ``raw_images``.
    quarantine : DataFrame
        The unreadable ones: columns id, source, reason.

    Raises
    ------
    DataError
        If more images are unreadable than ``data.max_unreadable`` allows, rounded up.
    """
    from mlic.images.ingest import write_store

    images, quarantine = write_store(images_folder, raw_images, data.side)
    if len(quarantine):
        first = "; ".join(f"{row.source}: {row.reason}" for row in quarantine[:3].itertuples())
        told = f"{len(quarantine)} of {len(raw_images)} images are unreadable ({first})"
        allowed = ceil(data.max_unreadable * len(raw_images))
        if len(quarantine) > allowed:
            listed = images.folder / "pixels.json" if images.folder else "the quarantine"
            raise DataError(
                f"{told}, {allowed} may be: mend them (all are listed in {listed}) or raise "
                "data.max_unreadable"
            )
        logger.warning("%s; they are left out, see quarantine.", told)
    return images, quarantine


def split_images(
    raw_images: ImageRecords, quarantine: DataFrame, data: DataOptions, seed: int
) -> LabelMatrix:
    """Split the readable images, and drop labels too rare to learn.

    Declared splits win. Images without a split are training images. A validation or test
    split that the data set declares nowhere is split off the training images, stratified by
    labels; the others never change.

    Parameters
    ----------
    raw_images
        Encoded images, of which only labels, declared splits and groups are used.
    quarantine
        The unreadable images, which are left out.
    data
        Fractions, and the training count below which a label is dropped.
    seed
        The run's seed.

    Returns
    -------
    LabelMatrix
        Row for row the images of the store.

    Raises
    ------
    DataError
        If a split is empty, a group is torn, or a label has no training image.
    """
    from mlic.pipelines.data_preparation.splits import split_readable

    return split_readable(raw_images, quarantine["id"].to_numpy(dtype=str), data, seed)

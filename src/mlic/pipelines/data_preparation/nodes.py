"""Nodes of the data preparation: draw or take pictures, decode them once, split their labels."""

from __future__ import annotations

import logging
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlic.errors import DataError
from mlic.images.options import DataOptions, SceneOptions
from mlic.seeds import derive_seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pandas import DataFrame

    from mlic.images.raw import RawPictures
    from mlic.images.store import PictureStore
    from mlic.labels import LabelMatrix

    Masks = dict[str, NDArray[np.uint8]]
else:  # Kedro reads the annotations as it starts, and needs only those of parameters
    DataFrame = RawPictures = PictureStore = LabelMatrix = Masks = Any

__all__ = ["decode_pictures", "draw_scenes", "split_pictures"]

logger = logging.getLogger(__name__)


def draw_scenes(scenes: SceneOptions, seed: int) -> tuple[RawPictures, Masks]:
    """Draw the synthetic scenes.

    Parameters
    ----------
    scenes
        What to draw.
    seed
        The run's seed.

    Returns
    -------
    scene_pictures : RawPictures
        The n scenes, encoded.
    scene_masks : dict
        Under ``"masks"`` where in the pictures the objects are; uint8, shape (n, H, W).
    """
    from mlic.images import scenes as drawn

    pictures, masks = drawn.draw_scenes(scenes, derive_seed(seed, "scenes"))
    return pictures, {"masks": masks}


def decode_pictures(
    raw_pictures: RawPictures, data: DataOptions, pictures_folder: Path
) -> tuple[PictureStore, DataFrame]:
    """Decode the pictures to the store on disk, and set the unreadable ones aside.

    Parameters
    ----------
    raw_pictures
        Encoded pictures.
    data
        Gives the side of the store and how many pictures may be unreadable.
    pictures_folder
        Where the store lies.

    Returns
    -------
    pictures : PictureStore
        The readable pictures, in the order of ``raw_pictures``.
    quarantine : DataFrame
        The unreadable ones: columns id, source, reason.

    Raises
    ------
    DataError
        If more pictures are unreadable than ``data.max_unreadable`` allows, rounded up.
    """
    from mlic.images.ingest import write_store

    pictures, quarantine = write_store(pictures_folder, raw_pictures, data.side)
    if len(quarantine):
        first = "; ".join(f"{row.source}: {row.reason}" for row in quarantine[:3].itertuples())
        told = f"{len(quarantine)} of {len(raw_pictures)} pictures are unreadable ({first})"
        allowed = ceil(data.max_unreadable * len(raw_pictures))
        if len(quarantine) > allowed:
            listed = pictures.folder / "store.json" if pictures.folder else "the quarantine"
            raise DataError(
                f"{told}, {allowed} may be: mend them (all are listed in {listed}) or raise "
                "data.max_unreadable"
            )
        logger.warning("%s; they are left out, see quarantine.", told)
    return pictures, quarantine


def split_pictures(
    raw_pictures: RawPictures, quarantine: DataFrame, data: DataOptions, seed: int
) -> LabelMatrix:
    """Split the readable pictures, and drop labels too rare to learn.

    Declared splits win. Pictures without a split are training pictures. A validation or test
    split that the data set declares nowhere is split off the training pictures, stratified by
    labels; the others never change.

    Parameters
    ----------
    raw_pictures
        Encoded pictures, of which only labels, declared splits and groups are used.
    quarantine
        The unreadable pictures, which are left out.
    data
        Fractions, and the training count below which a label is dropped.
    seed
        The run's seed.

    Returns
    -------
    LabelMatrix
        Row for row the pictures of the store.

    Raises
    ------
    DataError
        If a split is empty, a group is torn, or a label has no training picture.
    """
    from mlic.pipelines.data_preparation.splits import split_readable

    return split_readable(raw_pictures, quarantine["id"].to_numpy(dtype=str), data, seed)

"""Nodes of the data preparation: draw or take pictures, decode them once, split their labels.

Kedro reads the annotations when it starts, for the parameters' models among them; tables are no
parameters, and pandas can wait until a node needs it.
"""

import logging
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlic.errors import DataError
from mlic.images.options import DataOptions, SceneOptions
from mlic.images.raw import RawPictures
from mlic.images.store import PictureStore
from mlic.labels import PRESENT, SPLITS, LabelMatrix
from mlic.seeds import derive_seed

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    DataFrame = Any

__all__ = ["decode_pictures", "draw_scenes", "split_pictures"]

logger = logging.getLogger(__name__)


def draw_scenes(
    scenes: SceneOptions, seed: int
) -> tuple[RawPictures, dict[str, NDArray[np.uint8]]]:
    """Draw the synthetic scenes.

    Parameters
    ----------
    scenes
        What to draw.
    seed
        The run's seed.

    Returns
    -------
    raw_pictures : RawPictures
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
            raise DataError(f"{told}, {allowed} may be: mend them or raise data.max_unreadable")
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
    readable = ~np.isin(raw_pictures.labels.ids, quarantine["id"].to_numpy(dtype=np.str_))
    rows = np.flatnonzero(readable)
    groups = None if raw_pictures.groups is None else raw_pictures.groups[rows]
    labels = _complete_split(raw_pictures.labels.take(rows), groups, data, seed)
    _refuse_torn_groups(labels, groups)
    labels = _drop_rare(labels, data.drop_labels_below)
    sizes = ", ".join(f"{len(labels.rows(split))} {split}" for split in SPLITS)
    logger.info("%d pictures (%s), %d labels.", len(labels), sizes, len(labels.space))
    return labels


def _complete_split(
    labels: LabelMatrix, groups: NDArray[np.str_] | None, data: DataOptions, seed: int
) -> LabelMatrix:
    """Split off training what the data set does not declare."""
    from mlic.labels.split import stratified_split

    undecided = int((labels.split == "").sum())
    if 0 < undecided < len(labels):
        logger.warning("%d pictures declare no split: they join training.", undecided)
    split = np.where(labels.split == "", "train", labels.split).astype("<U10")
    wanted = {"validation": data.validation_fraction, "test": data.test_fraction}
    missing = {name: share for name, share in wanted.items() if name not in labels.split}
    train = np.flatnonzero(split == "train")
    if missing and len(train):
        split[train] = stratified_split(
            labels.states[train],
            {"train": 1 - sum(missing.values()), **missing},
            derive_seed(seed, "split"),
            None if groups is None else groups[train],
        )
    _refuse_empty(split)
    return labels.with_split(split)


def _refuse_empty(split: NDArray[np.str_]) -> None:
    sizes = {name: int((split == name).sum()) for name in SPLITS}
    for name, size in sizes.items():
        if not size:
            mend = (
                "declare fewer pictures as validation or test"
                if name == "train"
                else f"give more pictures or raise data.{name}_fraction"
            )
            raise DataError(f"the split '{name}' is empty (sizes: {sizes}): {mend}")


def _refuse_torn_groups(labels: LabelMatrix, groups: NDArray[np.str_] | None) -> None:
    """Refuse a group in two splits: pictures of it would be both learned and tested."""
    if groups is None:
        return
    first: dict[str, str] = {}
    for group, split in zip(groups.tolist(), labels.split.tolist(), strict=True):
        if first.setdefault(group, split) != split:
            raise DataError(
                f"group '{group}' is in the splits '{first[group]}' and '{split}': declare one "
                "split for each group, or leave out the column 'group'"
            )


def _drop_rare(labels: LabelMatrix, below: int | None) -> LabelMatrix:
    counts = (labels.in_split("train").states == PRESENT).sum(axis=0)
    kept = np.flatnonzero(counts >= (below or 0))
    names = np.asarray(labels.space.names)
    if not len(kept):
        raise DataError(
            f"every label has fewer than {below} training pictures: lower data.drop_labels_below"
        )
    if len(kept) < len(names):
        dropped = ", ".join(names[counts < (below or 0)])
        logger.warning(
            "%d labels in < %s training pictures dropped: %s.",
            len(names) - len(kept),
            below,
            dropped,
        )
    unseen = names[kept][counts[kept] == 0]
    if len(unseen):
        raise DataError(
            f"{len(unseen)} labels are present in no training picture "
            f"({', '.join(unseen[:10])}{', …' if len(unseen) > 10 else ''}): "
            "give such pictures, or set data.drop_labels_below=1 to drop the labels"
        )
    return labels.with_labels(kept.tolist())

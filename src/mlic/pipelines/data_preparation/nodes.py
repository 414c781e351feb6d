"""Nodes of the data preparation: draw or read images, decode them once, split them."""

from __future__ import annotations

import logging
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

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

__all__ = ["decode_images", "draw_synthetic_images", "list_duplicates", "split_images"]

logger = logging.getLogger(__name__)


def draw_synthetic_images(
    synthetic: SyntheticOptions, seed: int
) -> tuple[ImageRecords, dict[str, NDArray[np.uint8]]]:
    """Draw the synthetic data set: n encoded images with their labels, and the object masks.

    The masks are under ``"masks"``; uint8, shape (n, H, W), 0 for background.
    """
    from mlic.images.synthetic.scenes import draw_scenes

    # The name of the derived seed decides the images: it must not change.
    images, masks = draw_scenes(synthetic, derive_seed(seed, "scenes"))
    return images, {"masks": masks}


def decode_images(
    raw_images: ImageRecords, data: DataOptions, images_folder: Path
) -> tuple[ImageStore, DataFrame]:
    """Decode all images once, and keep them in ``images_folder`` as ``data.store`` says.

    Unreadable images are left out; the others keep the order of ``raw_images``. The quarantine has
    the columns ``id``, ``source`` and ``reason``. More unreadable images than
    ``data.max_unreadable`` allows, rounded up, are a DataError.
    """
    from mlic.images.ingest import write_store

    images, quarantine = write_store(
        images_folder, raw_images, data.side, data.store, data.store_quality
    )
    if len(quarantine):
        # Rounded up, so that a small data set may have one unreadable image.
        allowed = ceil(data.max_unreadable * len(raw_images))
        _report_unreadable(quarantine, len(raw_images), allowed, images)
    return images, quarantine


def _report_unreadable(quarantine: DataFrame, total: int, allowed: int, images: ImageStore) -> None:
    """Warn of unreadable images, or refuse them if there are too many."""
    first = "; ".join(f"{row.source}: {row.reason}" for row in quarantine[:3].itertuples())
    message = f"{len(quarantine)} of {total} images are unreadable ({first})"
    if len(quarantine) > allowed:
        assert images.folder is not None
        listed = images.folder / f"{images.kind}.json"
        raise DataError(
            f"{message}, at most {allowed} may be: repair them ({listed} lists all) or raise "
            "data.max_unreadable",
            parameter="data.max_unreadable",
            expected=allowed,
            found=len(quarantine),
        )
    logger.warning("%s; they are left out, see quarantine.", message)


def split_images(
    raw_images: ImageRecords, quarantine: DataFrame, data: DataOptions, seed: int
) -> LabelMatrix:
    """Split the readable images, and drop labels that are too rare to learn.

    Declared splits stay as they are. A validation or test split that the data set does not declare
    is split off the training images, stratified by labels. The result is in the order of the image
    store.
    """
    import numpy as np

    from mlic.labels import SPLITS
    from mlic.labels.preparation import complete_split, drop_rare_labels

    unreadable = quarantine["id"].to_numpy(dtype=str)
    rows = np.flatnonzero(~np.isin(raw_images.labels.ids, unreadable))
    groups = None if raw_images.groups is None else raw_images.groups[rows]
    fractions = {"validation": data.validation_fraction, "test": data.test_fraction}
    # Row i of the labels must be image i of the store, which has the readable images only.
    labels = raw_images.labels.take(rows)
    labels = complete_split(labels, groups, fractions, derive_seed(seed, "split"))
    # After the split, because only images of the training split count for a label.
    labels = drop_rare_labels(labels, data.drop_labels_below)
    sizes = ", ".join(f"{len(labels.rows(split))} {split}" for split in SPLITS)
    logger.info("%d images (%s), %d labels.", len(labels), sizes, len(labels.space))
    _report_undefined(labels)
    return labels


def _report_undefined(labels: LabelMatrix) -> None:
    """Name the labels that define no average precision, because one of both states is unknown."""
    from mlic.labels import ABSENT, PRESENT

    for split in ("validation", "test"):
        states = labels.in_split(split).states
        is_defined = (states == PRESENT).any(axis=0) & (states == ABSENT).any(axis=0)
        if is_defined.all() or not len(states):
            continue
        names = [n for n, good in zip(labels.space.names, is_defined, strict=True) if not good]
        logger.log(
            logging.INFO if is_defined.any() else logging.WARNING,
            "%d of %d labels have no known positive or no known negative among the %s images, so "
            "that they are left out of mAP%s: %s%s",
            len(names),
            len(labels.space),
            split,
            "" if is_defined.any() else ", which is undefined",
            ", ".join(names[:10]),
            ", …" if len(names) > 10 else "",
        )


def list_duplicates(images: ImageStore, labels: LabelMatrix) -> DataFrame:
    """Tabulate images with the same pixels: columns ``group`` (a number), ``id`` and ``split``.

    A warning says how many there are, and how many lie in different splits.
    """
    import pandas as pd

    from mlic.images.duplicates import find_duplicates

    rows = find_duplicates(images)
    leaks = sum(len(set(labels.split[group].tolist())) > 1 for group in rows)
    if rows:
        logger.warning(
            "%d images occur more than once%s: see duplicates, and leave copies out or give them "
            "the same 'group'",
            len(rows),
            f", {leaks} of them in several splits, so that figures are too high" if leaks else "",
        )
    table = [
        (number, str(labels.ids[row]), str(labels.split[row]))
        for number, group in enumerate(rows)
        for row in group
    ]
    return pd.DataFrame(table, columns=["group", "id", "split"]).astype(
        {"group": "int64", "id": "str", "split": "str"}
    )

"""Splits of the readable images: declared by the data set, or split off the training images."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from mlic.errors import DataError
from mlic.labels import PRESENT, SPLITS, LabelMatrix
from mlic.utils.seeds import derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlic.images.options import DataOptions
    from mlic.images.records import ImageRecords

__all__ = ["split_readable"]

logger = logging.getLogger(__name__)


def split_readable(
    raw_images: ImageRecords, unreadable: NDArray[np.str_], data: DataOptions, seed: int
) -> LabelMatrix:
    """Split the images that can be read, and drop labels too rare to learn.

    Parameters
    ----------
    raw_images
        Encoded images, of which only labels, declared splits and groups are used.
    unreadable
        Ids of those that are left out; shape (m,), strings.
    data
        Fractions, and the training count below which a label is dropped.
    seed
        The run's seed.

    Raises
    ------
    DataError
        If a split is empty, a group is torn, or a label has no training image.
    """
    readable = ~np.isin(raw_images.labels.ids, unreadable)
    rows = np.flatnonzero(readable)
    groups = None if raw_images.groups is None else raw_images.groups[rows]
    labels = _complete_split(raw_images.labels.take(rows), groups, data, seed)
    _refuse_torn_groups(labels, groups)
    labels = _drop_rare(labels, data.drop_labels_below)
    sizes = ", ".join(f"{len(labels.rows(split))} {split}" for split in SPLITS)
    logger.info("%d images (%s), %d labels.", len(labels), sizes, len(labels.space))
    return labels


def _complete_split(
    labels: LabelMatrix, groups: NDArray[np.str_] | None, data: DataOptions, seed: int
) -> LabelMatrix:
    """Split off training what the data set does not declare."""
    from mlic.labels.split import stratified_split

    undecided = int((labels.split == "").sum())
    if 0 < undecided < len(labels):
        logger.warning("%d images declare no split: they join training.", undecided)
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
                "declare fewer images as validation or test"
                if name == "train"
                else f"give more images or raise data.{name}_fraction"
            )
            raise DataError(f"the split '{name}' is empty (sizes: {sizes}): {mend}")


def _refuse_torn_groups(labels: LabelMatrix, groups: NDArray[np.str_] | None) -> None:
    """Refuse a group in two splits: images of it would be both learned and tested."""
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
            f"every label has fewer than {below} training images: lower data.drop_labels_below"
        )
    if len(kept) < len(names):
        dropped = ", ".join(names[counts < (below or 0)])
        logger.warning(
            "Labels in fewer than %s training images are dropped, %d of %d: %s.",
            below,
            len(names) - len(kept),
            len(names),
            dropped,
        )
    unseen = names[kept][counts[kept] == 0]
    if len(unseen):
        raise DataError(
            f"labels that are present in no training image, {len(unseen)} of {len(names)}: "
            f"{', '.join(unseen[:10])}{', …' if len(unseen) > 10 else ''}; give such images, or "
            "set data.drop_labels_below=1 to drop the labels"
        )
    return labels.with_labels(kept.tolist())

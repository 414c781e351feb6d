"""Complete the split that a data set declares, and drop labels that are too rare to learn."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mlic.errors import DataError
from mlic.labels.matrix import PRESENT, SPLITS, LabelMatrix
from mlic.labels.split import stratified_split

__all__ = ["complete_split", "drop_rare_labels"]

logger = logging.getLogger(__name__)


def complete_split(
    labels: LabelMatrix, groups: NDArray[np.str_] | None, fractions: Mapping[str, float], seed: int
) -> LabelMatrix:
    """Split off the training images each split that the data set does not declare.

    Declared splits stay as they are; images without a declared split are training images. A
    `DataError` is raised if a split is empty, or a group is declared to be in different splits.

    Parameters
    ----------
    groups
        Group of each image, such as a video; shape (n,). The images of a group stay together.
    fractions
        Fraction of the images for ``validation`` and for ``test``, where they are not declared.
    """
    undeclared = int((labels.split == "").sum())
    if 0 < undeclared < len(labels):
        logger.warning("%d images declare no split and become training images.", undeclared)
    # <U10 has room for "validation": NumPy truncates longer strings silently.
    split = np.where(labels.split == "", "train", labels.split).astype("<U10")
    # Fractions refer to the images that are not declared to be validation or test images.
    missing = {name: share for name, share in fractions.items() if name not in labels.split}
    train = np.flatnonzero(split == "train")
    if missing and len(train):
        split[train] = stratified_split(
            labels.states[train],
            {"train": 1 - sum(missing.values()), **missing},
            seed,
            None if groups is None else groups[train],
        )
    _check_sizes(split)
    if groups is not None:
        _check_groups(split, groups)
    return labels.with_split(split)


def _check_sizes(split: NDArray[np.str_]) -> None:
    sizes = {name: int((split == name).sum()) for name in SPLITS}
    if 0 in sizes.values():
        name = next(name for name, size in sizes.items() if not size)
        fix = f"add images or raise data.{name}_fraction"
        if name == "train":
            fix = "declare fewer images as validation or test"
        raise DataError(f"the split '{name}' is empty (sizes: {sizes}): {fix}", name=name)


def _check_groups(split: NDArray[np.str_], groups: NDArray[np.str_]) -> None:
    """Refuse a group in two splits: the model would be tested on what it has learned."""
    first: dict[str, str] = {}
    for group, own in zip(groups.tolist(), split.tolist(), strict=True):
        if first.setdefault(group, own) != own:
            raise DataError(
                f"the group '{group}' is in the splits '{first[group]}' and '{own}': declare one "
                "split per group, or remove the column 'group'",
                name=group,
                found=(first[group], own),
            )


def drop_rare_labels(labels: LabelMatrix, below: int | None) -> LabelMatrix:
    """Drop the labels with fewer than ``below`` training images; None drops no label.

    A `DataError` is raised if no label is left, or a label that is kept has no training image.
    """
    counts = (labels.in_split("train").states == PRESENT).sum(axis=0)
    kept = np.flatnonzero(counts >= (below or 0))
    names = np.asarray(labels.space.names)
    if not len(kept):
        raise DataError(
            f"every label has fewer than {below} training images: lower data.drop_labels_below",
            parameter="data.drop_labels_below",
            value=below,
        )
    if len(kept) < len(names):
        logger.warning(
            "%d of %d labels have fewer than %s training images and are dropped: %s.",
            len(names) - len(kept),
            len(names),
            below,
            ", ".join(names[counts < (below or 0)]),
        )
    # Without a positive example there is nothing to learn.
    unseen = names[kept][counts[kept] == 0]
    if len(unseen):
        listed = f"{', '.join(unseen[:10])}{', …' if len(unseen) > 10 else ''}"
        raise DataError(
            f"{len(unseen)} of {len(names)} labels are present in no training image: {listed}; add "
            "such images, or set data.drop_labels_below=1 to drop these labels",
            label=str(unseen[0]),
            parameter="data.drop_labels_below",
        )
    return labels.with_labels(kept.tolist())

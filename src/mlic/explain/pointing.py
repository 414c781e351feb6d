"""The pointing game: whether the strongest position of a class map lies on the object."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from mlic.distillation.teacher_id import NAMESPACE, strategy_of
from mlic.errors import DataError
from mlic.explain.class_maps import ClassMaps
from mlic.labels import LabelMatrix

__all__ = ["peaks", "pointing_game", "select_masks"]


def peaks(maps: NDArray[np.float32], side: int) -> NDArray[np.intp]:
    """Return the pixel at the centre of the strongest cell of each map.

    Parameters
    ----------
    maps
        Class maps; shape (n, h, w).
    side
        Side length of the images, in pixels.

    Returns
    -------
    numpy.ndarray
        Row and column of the pixel; shape (n, 2).

    Examples
    --------
    >>> peaks(np.array([[[0.0, 1.0], [0.0, 0.0]]]), side=8).tolist()
    [[2, 6]]
    """
    count, height, width = maps.shape
    strongest = maps.reshape(count, height * width).argmax(axis=1)
    cells = np.stack(np.unravel_index(strongest, (height, width)), axis=1)
    # The maximum of an interpolated map would lie on the image's border whenever the strongest cell
    # is a border cell, half a cell away from the region that it saw; its centre has no such bias.
    return ((cells + 0.5) * side / (height, width)).astype(np.intp)


def select_masks(
    class_maps: ClassMaps, labels: LabelMatrix, masks: NDArray[np.uint8]
) -> NDArray[np.bool_]:
    """Select the object mask of each pair of a set of class maps.

    The masks of all images of ``labels`` have shape (number of images, H, W): 0 for background,
    k + 1 for an object of label k. The result is True where an object of the pair's label is;
    shape (n, H, W).

    Raises
    ------
    DataError
        If masks, labels and class maps do not belong to the same images.
    LabelError
        If a label of the class maps is unknown.
    """
    row_of = {name: row for row, name in enumerate(labels.ids.tolist())}
    if len(masks) != len(row_of) or not row_of.keys() >= set(class_maps.ids.tolist()):
        raise DataError(
            "object masks, images and class maps do not belong to the same images: run the "
            "data_preparation and reporting pipelines again",
            expected=len(row_of),
            found=len(masks),
        )
    rows = [row_of[name] for name in class_maps.ids.tolist()]
    columns = np.asarray(labels.space.indices(class_maps.labels), dtype=np.intp)
    return np.asarray(masks[rows] == columns[:, None, None] + 1)


def pointing_game(
    class_maps: ClassMaps, masks: NDArray[np.bool_], tolerance: int
) -> dict[str, Any]:
    """Play the pointing game (Zhang et al., 2016, "Top-down neural attention").

    A map scores a hit if the centre of its strongest cell lies on the label's mask or within the
    tolerance of it. Hits are averaged over the pairs of each label, then over labels. The teachers
    of one strategy count as one model.

    Parameters
    ----------
    class_maps
        n pairs with the maps of every model.
    masks
        Mask of the label of each pair; shape (n, side, side). Pairs with an empty mask, where
        label noise added a label without an object, are left out.
    tolerance
        Largest distance from the mask that counts as a hit, in pixels.

    Returns
    -------
    dict
        Hit rates in percent: ``baseline``, ``student`` and other single models, ``teachers`` by
        strategy, and ``chance`` for a position drawn at random; also ``pairs``, ``images`` and
        ``tolerance_pixels``. A rate is None if the model has no map of any pair.

    Raises
    ------
    DataError
        If the number of masks differs from the number of pairs.
    """
    if len(masks) != len(class_maps):
        raise DataError(
            f"{len(masks)} masks do not fit {len(class_maps)} class maps: run the reporting "
            "pipeline again",
            expected=len(class_maps),
            found=len(masks),
        )
    # Label noise adds labels without an object: there is nothing to point at.
    shown = np.flatnonzero(masks.any(axis=(1, 2)))
    labels, targets = class_maps.labels[shown], _dilate(masks[shown], tolerance)
    singles: dict[str, list[NDArray[np.floating[Any]]]] = {}
    teachers: dict[str, list[NDArray[np.floating[Any]]]] = {}
    for model, maps in class_maps.maps.items():
        group = teachers if model.startswith(f"{NAMESPACE}.") else singles
        group.setdefault(strategy_of(model), []).append(_hits(maps[shown], targets))
    rates, teacher_rates = (
        {name: _balanced_rate(np.stack(hits), labels) for name, hits in group.items()}
        for group in (singles, teachers)
    )
    return {
        **rates,
        "teachers": teacher_rates,
        # A random position hits with the probability that the dilated mask covers it.
        "chance": _balanced_rate(targets.mean(axis=(1, 2))[None], labels),
        "pairs": len(shown),
        "images": len(set(class_maps.ids[shown].tolist())),
        "tolerance_pixels": tolerance,
    }


def _dilate(masks: NDArray[np.bool_], tolerance: int) -> NDArray[np.bool_]:
    """Widen each mask by a Euclidean distance in pixels."""
    if not tolerance:
        return masks
    # The distance of each background pixel to the nearest pixel of the object.
    wide = [distance_transform_edt(~mask) <= tolerance for mask in masks]
    return np.asarray(wide, dtype=bool).reshape(masks.shape)


def _hits(maps: NDArray[np.float32], targets: NDArray[np.bool_]) -> NDArray[np.floating[Any]]:
    """Return 1 for a hit, 0 for a miss, NaN where there is no map; shape (n,)."""
    # `argmax` of an array with NaN would be the position of the NaN.
    known = ~np.isnan(maps).any(axis=(1, 2))
    rows, columns = peaks(np.nan_to_num(maps), targets.shape[-1]).T
    return np.where(known, targets[np.arange(len(maps)), rows, columns], np.nan)


def _balanced_rate(hits: NDArray[np.floating[Any]], labels: NDArray[np.str_]) -> float | None:
    """Average known hits over the pairs of each label, then over labels; hits (models, n)."""
    means = [
        float(values[~np.isnan(values)].mean())
        for values in (hits[:, labels == name] for name in np.unique(labels))
        if not np.isnan(values).all()
    ]
    return round(100 * float(np.mean(means)), 2) if means else None

"""The pointing game: whether the strongest place of a map lies on the thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from mlic.distillation.teacher_id import strategy_of
from mlic.errors import DataError

if TYPE_CHECKING:
    from mlic.explain.class_maps import ClassMaps

__all__ = ["peaks", "pointing_game"]


def peaks(maps: NDArray[np.float32], side: int) -> NDArray[np.intp]:
    """Pixel at the middle of each map's strongest cell.

    Parameters
    ----------
    maps
        Shape (n, h, w).
    side
        Side of the images, in pixels.

    Returns
    -------
    numpy.ndarray
        Line and column; shape (n, 2).

    Notes
    -----
    A map enlarged by interpolation has its maximum at the edge of the image as soon as its
    strongest cell is an outer one, half a cell away from what the cell saw: hence the middle.

    Examples
    --------
    >>> peaks(np.array([[[0.0, 1.0], [0.0, 0.0]]]), side=8).tolist()
    [[2, 6]]
    """
    count, height, width = maps.shape
    strongest = maps.reshape(count, height * width).argmax(axis=1)
    places = np.stack(np.unravel_index(strongest, (height, width)), axis=1)
    return ((places + 0.5) * side / (height, width)).astype(np.intp)


def pointing_game(
    class_maps: ClassMaps, masks: NDArray[np.bool_], tolerance: int
) -> dict[str, Any]:
    """Play the pointing game (Zhang et al., 2016).

    A map hits if the middle of its strongest cell lies on the label's mask, or beside it by no
    more than the tolerance. Hits are averaged over pairs of a label, then over labels.

    Parameters
    ----------
    class_maps
        n pairs with the maps of every model.
    masks
        Where the label of each pair is; shape (n, side, side). A pair with an empty mask, such as
        a label that noise has moved here, is left out.
    tolerance
        In pixels.

    Returns
    -------
    dict
        In percent: ``baseline``, ``student`` and any other single model, ``teachers`` by strategy,
        and ``chance``, the hits of a place drawn at random. Besides ``pairs``, ``images`` and
        ``tolerance_pixels``. None where a model has no map of any pair.

    Raises
    ------
    DataError
        If the masks are not one for each pair.
    """
    if len(masks) != len(class_maps):
        raise DataError(
            f"{len(masks)} masks do not fit {len(class_maps)} class maps: run the reporting "
            "pipeline again"
        )
    shown = np.flatnonzero(masks.any(axis=(1, 2)))
    labels, targets = class_maps.labels[shown], _widen(masks[shown], tolerance)
    hits: dict[str, list[NDArray[np.floating[Any]]]] = {}
    for model in class_maps.maps:
        points = _hits(class_maps.maps[model][shown], targets)
        hits.setdefault(_committee(model), []).append(points)
    scores = {name: _balanced(np.stack(points), labels) for name, points in hits.items()}
    teachers = {name.removeprefix("teachers."): s for name, s in scores.items() if "." in name}
    return {
        **{name: score for name, score in scores.items() if "." not in name},
        "teachers": teachers,
        "chance": _balanced(targets.mean(axis=(1, 2))[None], labels),
        "pairs": len(shown),
        "images": len(set(class_maps.ids[shown].tolist())),
        "tolerance_pixels": tolerance,
    }


def _widen(masks: NDArray[np.bool_], tolerance: int) -> NDArray[np.bool_]:
    if not tolerance:
        return masks
    wide = [distance_transform_edt(~mask) <= tolerance for mask in masks]
    return np.asarray(wide, dtype=bool).reshape(masks.shape)


def _hits(maps: NDArray[np.float32], targets: NDArray[np.bool_]) -> NDArray[np.floating[Any]]:
    """1 for a hit, 0 for a miss, NaN where there is no map; shape (n,)."""
    known = ~np.isnan(maps).any(axis=(1, 2))
    lines, columns = peaks(np.nan_to_num(maps), targets.shape[-1]).T
    return np.where(known, targets[np.arange(len(maps)), lines, columns], np.nan)


def _committee(model: str) -> str:
    """Teachers of one strategy count as one model."""
    return strategy_of(model)


def _balanced(points: NDArray[np.floating[Any]], labels: NDArray[np.str_]) -> float | None:
    """Mean over labels of the mean over what is known of it, in percent; points (models, n)."""
    means = [
        float(values[~np.isnan(values)].mean())
        for values in (points[:, labels == name] for name in np.unique(labels))
        if not np.isnan(values).all()
    ]
    return round(100 * float(np.mean(means)), 2) if means else None

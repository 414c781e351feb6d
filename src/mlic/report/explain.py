"""Nodes that look at what the models look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlic.explain.options import ExplainOptions
from mlic.training.options import TrainingOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mlic.explain.class_maps import ClassMaps
    from mlic.images.records import ImageRecords
    from mlic.images.store import ImageStore
    from mlic.labels import LabelMatrix
    from mlic.training.checkpoint import Checkpoint

    Masks = dict[str, NDArray[np.uint8]]
else:  # Kedro reads the annotations as it starts, and needs only those of parameters
    ClassMaps = ImageRecords = ImageStore = LabelMatrix = Checkpoint = Masks = Any

__all__ = ["draw_class_maps", "map_classes", "play_pointing_game"]


def map_classes(
    images: ImageStore,
    labels: LabelMatrix,
    training: TrainingOptions,
    explain: ExplainOptions,
    *models: Checkpoint | ClassMaps,
) -> ClassMaps:
    """Where each model sees the labels that some test images carry; maps at hand are kept.

    Raises
    ------
    DataError
        If a test image is not in the store, or maps at hand are of other pairs.
    """
    from mlic.explain.class_maps import choose_images
    from mlic.explain.map_models import map_models
    from mlic.training.checkpoint import Checkpoint

    chosen = choose_images(labels.in_split("test"), explain.images)
    shared = (images, chosen, training, explain.min_cells)
    found = map_models([], *shared)
    for model in models:
        seen = map_models([model], *shared) if isinstance(model, Checkpoint) else model
        found = found.beside(seen)
    return found


def play_pointing_game(
    class_maps: ClassMaps,
    synthetic_images: ImageRecords,
    synthetic_masks: Masks,
    explain: ExplainOptions,
) -> dict[str, Any]:
    """How often each model's map points at the thing, in percent.

    Raises
    ------
    DataError, LabelError
        If maps and masks are of different images or labels.
    """
    import numpy as np

    from mlic.errors import DataError
    from mlic.explain.pointing import pointing_game

    places = {name: row for row, name in enumerate(synthetic_images.labels.ids.tolist())}
    masks = synthetic_masks["masks"]
    if len(masks) != len(places) or not places.keys() >= set(class_maps.ids.tolist()):
        raise DataError(
            "masks, scenes and class maps are not of the same images: run the data_preparation "
            "and reporting pipelines again"
        )
    rows = [places[name] for name in class_maps.ids.tolist()]
    columns = np.asarray(synthetic_images.labels.space.indices(class_maps.labels), dtype=np.intp)
    shown = masks[rows] == columns[:, None, None] + 1
    return pointing_game(class_maps, shown, explain.tolerance_pixels(masks.shape[-1]))


def draw_class_maps(
    class_maps: ClassMaps, images: ImageStore, explain: ExplainOptions
) -> list[dict[str, Any]]:
    """Maps of a few images, model beside model, for the report."""
    from mlic.report.maps import render_maps

    pairs = class_maps.examples(explain.examples)
    pixels = images.pixels[images.rows(class_maps.ids[pairs])]
    return render_maps(class_maps, pairs, pixels)

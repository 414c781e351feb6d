"""Pipeline of the data preparation.

::

    raw_images ──► decode_images ──► images, quarantine
         └──────────────────────────────────┴──► split_images ──► labels

With synthetic data, ``synthetic_images`` take the place of ``raw_images``.
"""

from kedro.pipeline import Node, Pipeline

from mlic.config.shape import RunShape
from mlic.pipelines.data_preparation.nodes import (
    decode_images,
    draw_synthetic_images,
    split_images,
)

__all__ = ["create_pipeline"]


def create_pipeline(shape: RunShape) -> Pipeline:
    """Connect the preparation of one data set.

    Parameters
    ----------
    shape
        Decides the source. Synthetic images are saved as ``synthetic_images``; the catalog entry
        ``raw_images`` is only read, because it is the user's own data.

    Examples
    --------
    >>> sorted(create_pipeline(RunShape(source="catalog")).inputs())
    ['images_folder', 'params:data', 'params:seed', 'raw_images']
    """
    raw = "synthetic_images" if shape.source == "synthetic" else "raw_images"
    draw = Node(
        draw_synthetic_images,
        inputs=["params:synthetic", "params:seed"],
        outputs=["synthetic_images", "synthetic_masks"],
        name="draw_synthetic_images",
    )
    decode = Node(
        decode_images,
        inputs=[raw, "params:data", "images_folder"],
        outputs=["images", "quarantine"],
        name="decode_images",
    )
    split = Node(
        split_images,
        inputs=[raw, "quarantine", "params:data", "params:seed"],
        outputs="labels",
        name="split_images",
    )
    return Pipeline([draw, decode, split] if shape.source == "synthetic" else [decode, split])

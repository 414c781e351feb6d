"""Wiring of the data preparation.

raw_images ──► decode_images ──► images, quarantine
     └──────────────────────────────────┴──► split_images ──► labels

The scenes are drawn to synthetic_images and take the place of raw_images.
"""

from kedro.pipeline import Node, Pipeline

from mlic.config.shape import RunShape
from mlic.pipelines.data_preparation.nodes import decode_images, draw_scenes, split_images

__all__ = ["create_pipeline"]


def create_pipeline(shape: RunShape) -> Pipeline:
    """Wire the preparation of one data set.

    Parameters
    ----------
    shape
        ``"synthetic"``: images drawn by mlic, kept as ``synthetic_images``; ``"catalog"``: the
        entry ``raw_images``, which is only ever read, for it holds a person's own.

    Examples
    --------
    >>> sorted(create_pipeline(RunShape(source="catalog")).inputs())
    ['params:data', 'params:seed', 'images_folder', 'raw_images']
    """
    source = shape.source
    raw = "synthetic_images" if source == "synthetic" else "raw_images"
    draw = Node(
        draw_scenes,
        inputs=["params:synthetic", "params:seed"],
        outputs=["synthetic_images", "synthetic_masks"],
        name="draw_scenes",
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
    return Pipeline([draw, decode, split] if source == "synthetic" else [decode, split])

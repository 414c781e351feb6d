"""Pipeline of the data preparation.

::

    raw_images ──► decode_images ──► images, quarantine
         └──────────────────────────────────┴──► split_images ──► labels

    images, labels ──► list_duplicates ──► duplicates

With synthetic data, ``synthetic_images`` take the place of ``raw_images``.
"""

from kedro.pipeline import Node, Pipeline

from mlic.config.shape import RunShape
from mlic.pipelines.data_preparation import nodes

__all__ = ["create_pipeline"]


def create_pipeline(shape: RunShape) -> Pipeline:
    """Connect the preparation of synthetic images or of the catalog's ``raw_images``.

    Examples
    --------
    >>> sorted(create_pipeline(RunShape(source="catalog")).inputs())
    ['images_folder', 'params:data', 'params:seed', 'raw_images']
    """
    # Synthetic images have an entry of their own: raw_images is the user's data and only read.
    raw = "synthetic_images" if shape.source == "synthetic" else "raw_images"
    draw = Node(
        nodes.draw_synthetic_images,
        inputs=["params:synthetic", "params:seed"],
        outputs=["synthetic_images", "synthetic_masks"],
        name="draw_synthetic_images",
    )
    decode = Node(
        nodes.decode_images,
        inputs=[raw, "params:data", "images_folder"],
        outputs=["images", "quarantine"],
        name="decode_images",
    )
    split = Node(
        nodes.split_images,
        inputs=[raw, "quarantine", "params:data", "params:seed"],
        outputs="labels",
        name="split_images",
    )
    duplicates = Node(
        nodes.list_duplicates,
        inputs=["images", "labels"],
        outputs="duplicates",
        name="list_duplicates",
    )
    own = [draw] if shape.source == "synthetic" else []
    return Pipeline([*own, decode, split, duplicates])

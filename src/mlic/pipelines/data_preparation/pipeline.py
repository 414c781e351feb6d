"""Wiring of the data preparation.

raw_pictures ──► decode_pictures ──► pictures, quarantine
     └──────────────────────────────────┴──► split_pictures ──► labels
"""

from kedro.pipeline import Node, Pipeline

from mlic.pipelines.data_preparation.nodes import decode_pictures, draw_scenes, split_pictures

__all__ = ["create_pipeline"]


def create_pipeline(source: str = "scenes") -> Pipeline:
    """Wire the preparation of one data set.

    Parameters
    ----------
    source
        ``"scenes"``: ``raw_pictures`` is drawn by mlic; ``"catalog"``: it is a catalog entry.

    Examples
    --------
    >>> sorted(create_pipeline("catalog").inputs())
    ['params:data', 'params:seed', 'pictures_folder', 'raw_pictures']
    """
    draw = Node(
        draw_scenes,
        inputs=["params:scenes", "params:seed"],
        outputs=["raw_pictures", "scene_masks"],
        name="draw_scenes",
    )
    decode = Node(
        decode_pictures,
        inputs=["raw_pictures", "params:data", "pictures_folder"],
        outputs=["pictures", "quarantine"],
        name="decode_pictures",
    )
    split = Node(
        split_pictures,
        inputs=["raw_pictures", "quarantine", "params:data", "params:seed"],
        outputs="labels",
        name="split_pictures",
    )
    return Pipeline([draw, decode, split] if source == "scenes" else [decode, split])

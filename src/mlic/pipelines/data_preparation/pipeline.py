"""Wiring of the data preparation.

raw_pictures ──► decode_pictures ──► pictures, quarantine
     └──────────────────────────────────┴──► split_pictures ──► labels

The scenes are drawn to scene_pictures and take the place of raw_pictures.
"""

from kedro.pipeline import Node, Pipeline

from mlic.pipelines.data_preparation.nodes import decode_pictures, draw_scenes, split_pictures

__all__ = ["create_pipeline"]


def create_pipeline(source: str = "scenes") -> Pipeline:
    """Wire the preparation of one data set.

    Parameters
    ----------
    source
        ``"scenes"``: pictures drawn by mlic, kept as ``scene_pictures``; ``"catalog"``: the
        entry ``raw_pictures``, which is only ever read, for it holds a person's own.

    Examples
    --------
    >>> sorted(create_pipeline("catalog").inputs())
    ['params:data', 'params:seed', 'pictures_folder', 'raw_pictures']
    """
    raw = "scene_pictures" if source == "scenes" else "raw_pictures"
    draw = Node(
        draw_scenes,
        inputs=["params:scenes", "params:seed"],
        outputs=["scene_pictures", "scene_masks"],
        name="draw_scenes",
    )
    decode = Node(
        decode_pictures,
        inputs=[raw, "params:data", "pictures_folder"],
        outputs=["pictures", "quarantine"],
        name="decode_pictures",
    )
    split = Node(
        split_pictures,
        inputs=[raw, "quarantine", "params:data", "params:seed"],
        outputs="labels",
        name="split_pictures",
    )
    return Pipeline([draw, decode, split] if source == "scenes" else [decode, split])

"""Wiring of graphs and partitions.

::

    label_statistics ──► graph_cgp ──► partition_cgp ──(sizes)──► partition_random
                    ├──► graph_dgp ──► partition_dgp
                    └──► partition_user ◄── user_groups

    graph_cgp ──► survey_cgp ──► survey_cgp_figure ◄── suggested_parts ◄── label_statistics
    partition_* ──► partitions_figure
"""

from kedro.pipeline import Node, Pipeline

from mlic.config.shape import RunShape
from mlic.labels.options import FULL_LABEL
from mlic.pipelines.graph_partition.figures import (
    draw_partitions,
    draw_survey,
    suggest_parts,
    survey_groups,
)
from mlic.pipelines.graph_partition.nodes import (
    build_cooccurrence_graph,
    build_disoccurrence_graph,
    cut_graph,
    draw_groups,
    take_user_groups,
)
from mlic.pipelines.teacher_training.pipeline import assign_teacher_groups

__all__ = ["create_pipeline"]

BUILDERS = {"cgp": build_cooccurrence_graph, "dgp": build_disoccurrence_graph}
COMMON = {
    "statistics": "label_statistics",
    "options": "params:partition",
    "seed": "params:seed",
}


def create_pipeline(shape: RunShape) -> Pipeline:
    """label_statistics → graph_<strategy> → partition_<strategy>, and surveys and figures of both.

    Parameters
    ----------
    strategies
        ``random`` takes the sizes of the first of cgp and dgp that is among them, and equal ones
        where neither is; ``user`` reads the entry ``user_groups``; ``full_label`` has no partition.

    Examples
    --------
    >>> sorted(create_pipeline(RunShape(strategies=("user", "full_label"))).inputs())
    ['label_statistics', 'labels', 'params:partition', 'user_groups']
    """
    strategies = shape.trained_strategies
    cuts = [strategy for strategy in BUILDERS if strategy in strategies]
    nodes = [node for strategy in cuts for node in _cut(strategy)]
    if cuts:
        nodes.append(_suggest())
    if "random" in strategies:
        nodes.append(_draw(cuts[0] if cuts else None))
    if "user" in strategies:
        nodes.append(
            Node(
                take_user_groups,
                inputs=["user_groups", "label_statistics", "params:partition"],
                outputs="partition_user",
                name="take_user_groups",
            )
        )
    if partitions := [f"partition_{name}" for name in strategies if name != FULL_LABEL]:
        nodes.append(
            Node(
                draw_partitions,
                inputs={"statistics": "label_statistics", **{name: name for name in partitions}},
                outputs="partitions_figure",
                name="draw_partitions",
            )
        )
    return Pipeline(nodes) + assign_teacher_groups(shape)


def _cut(strategy: str) -> list[Node]:
    builder = BUILDERS[strategy]
    return [
        Node(
            builder,
            inputs=["label_statistics", "params:partition"],
            outputs=f"graph_{strategy}",
            name=builder.__name__,
        ),
        Node(
            cut_graph,
            inputs={"graph": f"graph_{strategy}", **COMMON},
            outputs=f"partition_{strategy}",
            name=f"cut_graph_{strategy}",
        ),
        Node(
            survey_groups,
            inputs={"graph": f"graph_{strategy}", **COMMON},
            outputs=f"survey_{strategy}",
            name=f"survey_groups_{strategy}",
        ),
        Node(
            draw_survey,
            inputs=[f"survey_{strategy}", "suggested_parts", "params:partition"],
            outputs=f"survey_{strategy}_figure",
            name=f"draw_survey_{strategy}",
        ),
    ]


def _suggest() -> Node:
    return Node(
        suggest_parts,
        inputs=["label_statistics", "params:seed"],
        outputs="suggested_parts",
        name="suggest_parts",
    )


def _draw(sizes_of: str | None) -> Node:
    like = {"like": f"partition_{sizes_of}"} if sizes_of else {}
    return Node(
        draw_groups, inputs={**COMMON, **like}, outputs="partition_random", name="draw_groups"
    )

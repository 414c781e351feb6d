"""Pipeline of label graphs and partitions.

::

    label_statistics ──► graph_cgp ──► partition_cgp ──(sizes)──► partition_random
                    ├──► graph_dgp ──► partition_dgp
                    └──► partition_user ◄── user_groups

    graph_cgp ──► survey_cgp ──► survey_cgp_figure ◄── suggested_parts ◄── label_statistics
    partition_* ──► partitions_figure
"""

from collections.abc import Callable
from typing import Any

from kedro.pipeline import Node, Pipeline

from mlic.config.shape import RunShape
from mlic.pipelines.graph_partition import nodes
from mlic.pipelines.teacher_training.pipeline import assign_teacher_groups

__all__ = ["create_pipeline"]

BUILDERS = {"cgp": nodes.build_cooccurrence_graph, "dgp": nodes.build_disoccurrence_graph}
COMMON = {"statistics": "label_statistics", "options": "params:partition", "seed": "params:seed"}


def create_pipeline(shape: RunShape) -> Pipeline:
    """Connect label statistics to partitions, surveys, figures and the groups of the teachers.

    ``random`` uses the group sizes of cgp or dgp, whichever is there (cgp if both are), and equal
    sizes if neither is; ``user`` reads the catalog entry ``user_groups``; ``full_label`` has no
    partition.

    Examples
    --------
    >>> sorted(create_pipeline(RunShape(strategies=("user",))).inputs())
    ['label_statistics', 'params:partition', 'user_groups']
    """
    strategies = shape.trained_strategies
    graphs = [strategy for strategy in BUILDERS if strategy in strategies]
    made = [node for strategy in graphs for node in _partition(strategy)]
    if graphs:
        # Communities are counted on one graph, whatever the strategies: the surveys share them.
        suggest = ["label_statistics", "params:seed"]
        made.append(_node(nodes.suggest_num_parts, suggest, "suggested_parts"))
    if "random" in strategies:
        # Random groups are a fair control only if they have the sizes of the partition in question.
        like = {"like": f"partition_{graphs[0]}"} if graphs else {}
        made.append(_node(nodes.draw_random_groups, {**COMMON, **like}, "partition_random"))
    if "user" in strategies:
        user = ["user_groups", "label_statistics", "params:partition"]
        made.append(_node(nodes.read_user_groups, user, "partition_user"))
    if partitions := [f"partition_{name}" for name in shape.partition_strategies]:
        drawn = {"statistics": "label_statistics", **{name: name for name in partitions}}
        made.append(_node(nodes.draw_partitions, drawn, "partitions_figure"))
    return Pipeline(made) + assign_teacher_groups(shape)


def _node(function: Callable[..., Any], inputs: Any, output: str, suffix: str = "") -> Node:
    return Node(function, inputs, output, name=f"{function.__name__}{suffix}")


def _partition(strategy: str) -> list[Node]:
    """Make the nodes of one strategy that partitions a graph."""
    build = BUILDERS[strategy]
    graph = {"graph": f"graph_{strategy}", **COMMON}
    survey = [f"survey_{strategy}", "suggested_parts", "params:partition"]
    suffix = f"_{strategy}"  # the same functions serve both strategies, but node names are unique
    return [
        _node(build, ["label_statistics", "params:partition"], f"graph_{strategy}"),
        _node(nodes.partition_graph, graph, f"partition_{strategy}", suffix),
        _node(nodes.survey_num_parts, graph, f"survey_{strategy}", suffix),
        _node(nodes.draw_survey, survey, f"survey_{strategy}_figure", suffix),
    ]

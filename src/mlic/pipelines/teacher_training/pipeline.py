"""Wiring of the teachers: one namespaced node a group.

::

    partition_cgp ──► group_cgp_0 ──► teachers.cgp_0 ──► teachers.cgp_0.logits
                 └──► group_cgp_1 ──► teachers.cgp_1 ──► teachers.cgp_1.logits
"""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from mlic.pipelines.teacher_training.nodes import assign_groups, train_teacher

__all__ = ["create_pipeline", "teacher_names"]

PARAMETERS = {"params:data", "params:model", "params:training", "params:seed"}


def teacher_names(strategies: Sequence[str], num_parts: int) -> list[str]:
    """Names of all teachers, strategy by strategy.

    Examples
    --------
    >>> teacher_names(["cgp"], 2)
    ['cgp_0', 'cgp_1']
    """
    return [f"{strategy}_{part}" for strategy in strategies for part in range(num_parts)]


def create_pipeline(strategies: Sequence[str] = ("cgp", "dgp"), num_parts: int = 3) -> Pipeline:
    """partition_<strategy>, pictures, labels → teachers.<strategy>_<part>.{checkpoint,logits}."""
    assign = [
        Node(
            assign_groups,
            inputs=[f"partition_{strategy}", "params:partition"],
            outputs=[f"group_{name}" for name in teacher_names([strategy], num_parts)],
            name=f"assign_groups_{strategy}",
        )
        for strategy in strategies
    ]
    names = teacher_names(strategies, num_parts)
    teachers = sum((_teacher(name) for name in names), Pipeline([]))
    groups = {f"group_{name}" for name in names}
    boxed = Pipeline(
        teachers,
        namespace="teachers",
        inputs={"pictures", "labels", *groups},
        parameters=PARAMETERS,
    )
    return Pipeline(assign) + boxed


def _teacher(name: str) -> Pipeline:
    node = Node(
        train_teacher,
        inputs={
            "group": "group",
            "pictures": "pictures",
            "labels": "labels",
            "data": "params:data",
            "model": "params:model",
            "training": "params:training",
            "seed": "params:seed",
            "store": "store",
        },
        outputs=["checkpoint", "logits"],
        name="train",
        tags="training",
    )
    return Pipeline(
        [node],
        namespace=name,
        inputs={"pictures": "pictures", "labels": "labels", "group": f"group_{name}"},
        parameters=PARAMETERS,
    )

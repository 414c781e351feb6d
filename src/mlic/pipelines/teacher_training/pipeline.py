"""Wiring of the teachers: one namespaced node a group.

::

    partition_cgp ──► group_cgp_0 ──► teachers.cgp_0 ──► teachers.cgp_0.logits
                 └──► group_cgp_1 ──► teachers.cgp_1 ──► teachers.cgp_1.logits
           labels ──► group_plain_0 ──► teachers.plain_0 ──► teachers.plain_0.logits
"""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from mlic.labels.options import PLAIN
from mlic.pipelines.teacher_training.nodes import assign_all_labels, assign_groups, train_teacher

__all__ = ["create_pipeline", "teacher_names"]

PARAMETERS = {"params:data", "params:model", "params:training", "params:seed"}


def teacher_names(strategies: Sequence[str], num_parts: int, num_plain: int = 1) -> list[str]:
    """Names of all teachers, strategy by strategy.

    Examples
    --------
    >>> teacher_names(["cgp", "plain"], 2)
    ['cgp_0', 'cgp_1', 'plain_0']
    """
    numbers = {strategy: num_plain if strategy == PLAIN else num_parts for strategy in strategies}
    return [f"{strategy}_{part}" for strategy in strategies for part in range(numbers[strategy])]


def create_pipeline(
    strategies: Sequence[str] = ("cgp", "dgp"),
    num_parts: int = 3,
    num_plain: int = 1,
    embedded: bool = False,
) -> Pipeline:
    """partition_<strategy>, pictures, labels → teachers.<strategy>_<part>.{checkpoint,logits}.

    Parameters
    ----------
    strategies
        All but ``plain`` have a partition.
    num_parts
        Teachers of each of these.
    num_plain
        Teachers of ``plain``, which learn all labels.
    embedded
        Whether the heads read ``label_embeddings``.
    """
    assign = [_assign(name, teacher_names([name], num_parts, num_plain)) for name in strategies]
    names = teacher_names(strategies, num_parts, num_plain)
    teachers = sum((_teacher(name, embedded) for name in names), Pipeline([]))
    groups = {f"group_{name}" for name in names}
    boxed = Pipeline(
        teachers,
        namespace="teachers",
        inputs={*_shared(embedded), *groups},
        parameters=PARAMETERS,
    )
    return Pipeline(assign) + boxed


def _assign(strategy: str, teachers: Sequence[str]) -> Node:
    plain = strategy == PLAIN
    return Node(
        assign_all_labels if plain else assign_groups,
        inputs=["labels" if plain else f"partition_{strategy}", "params:partition"],
        outputs=[f"group_{teacher}" for teacher in teachers],
        name="assign_all_labels" if plain else f"assign_groups_{strategy}",
    )


def _teacher(name: str, embedded: bool) -> Pipeline:
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
            **({"embeddings": "label_embeddings"} if embedded else {}),
        },
        outputs=["checkpoint", "logits"],
        name="train",
        tags="training",
    )
    return Pipeline(
        [node],
        namespace=name,
        inputs={**{entry: entry for entry in _shared(embedded)}, "group": f"group_{name}"},
        parameters=PARAMETERS,
    )


def _shared(embedded: bool) -> list[str]:
    """Entries that all teachers read."""
    return ["pictures", "labels", *(["label_embeddings"] if embedded else [])]

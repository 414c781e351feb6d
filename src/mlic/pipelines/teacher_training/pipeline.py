"""Wiring of the teachers: one namespaced node a group, or one for all.

::

    partition_cgp ──► group_cgp_0 ──► teachers.cgp_0 ──► teachers.cgp_0.logits
                 └──► group_cgp_1 ──► teachers.cgp_1 ──► teachers.cgp_1.logits
           labels ──► group_plain_0 ──► teachers.plain_0 ──► teachers.plain_0.logits

Trained jointly, the same entries come from one node, which reads ``baseline.checkpoint`` too.
"""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from mlic.labels.options import PLAIN
from mlic.pipelines.teacher_training.nodes import (
    assign_all_labels,
    assign_groups,
    train_teacher,
    train_teachers_jointly,
)

__all__ = ["create_pipeline", "teacher_names"]

PARAMETERS = {
    f"params:{name}" for name in ("data", "model", "training", "teachers", "seed")
}  # the same for all


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
    joint: bool = False,
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
    joint
        Whether all are branches on the baseline's lower layers, trained in one pass.
    """
    assign = [_assign(name, teacher_names([name], num_parts, num_plain)) for name in strategies]
    names = teacher_names(strategies, num_parts, num_plain)
    teachers = sum((_teacher(name, embedded) for name in names), Pipeline([]))
    boxed = Pipeline(
        [_all_teachers(names, embedded)] if joint else teachers,
        namespace="teachers",
        inputs={*_shared(embedded), *_groups(names), *(["baseline.checkpoint"] if joint else [])},
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
        inputs={"group": "group", **_inputs(embedded), "store": "store"},
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


def _all_teachers(names: Sequence[str], embedded: bool) -> Node:
    outputs = [f"{name}.{kind}" for name in names for kind in ("checkpoint", "logits")]
    return Node(
        train_teachers_jointly,
        inputs={
            "baseline": "baseline.checkpoint",
            **{group: group for group in _groups(names)},
            **_inputs(embedded),
            "store": "joint.store",
        },
        outputs={output: output for output in outputs},
        name="train",
        tags="training",
    )


def _inputs(embedded: bool) -> dict[str, str]:
    """What every teacher is made from besides its group, argument by argument."""
    parameters = {name.removeprefix("params:"): name for name in PARAMETERS}
    entries = {entry.removeprefix("label_"): entry for entry in ["label_embeddings"] * embedded}
    return {"pictures": "pictures", "labels": "labels", **parameters, **entries}


def _groups(names: Sequence[str]) -> list[str]:
    return [f"group_{name}" for name in names]


def _shared(embedded: bool) -> list[str]:
    """Entries that all teachers read."""
    return ["pictures", "labels", *(["label_embeddings"] if embedded else [])]

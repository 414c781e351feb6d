"""Wiring of the teachers: one namespaced node a group, or one for all.

::

    partition_cgp ──► teachers.cgp_0.group ──► teachers.cgp_0 ──► teachers.cgp_0.logits
                 └──► teachers.cgp_1.group ──► teachers.cgp_1 ──► teachers.cgp_1.logits
           labels ──► teachers.plain_0.group ──► teachers.plain_0 ──► teachers.plain_0.logits

Trained in one pass, the entries of all groups come from one node; for branches on the baseline's
frozen layers it reads ``baseline.checkpoint`` too. A plain teacher is a training of its own all the
same: what it adds is that it is another model. Groups are handed out in the box of the partitions:
with all boxes closed, Kedro-Viz shows one for each teacher between them.
"""

from collections.abc import Sequence
from typing import Literal

from kedro.pipeline import Node, Pipeline

from mlic.labels.options import PLAIN
from mlic.pipelines.teacher_training.nodes import (
    assign_all_labels,
    assign_groups,
    train_teacher,
    train_teachers,
)

__all__ = ["create_pipeline", "hand_out_groups", "teacher_names"]

Mode = Literal["separate", "joint", "frozen"]

BOX, GROUPS, BASELINE = "teachers", "graph_partition", "baseline.checkpoint"
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
    mode: Mode = "separate",
) -> Pipeline:
    """partition_<strategy>, pictures, labels → teachers.<strategy>_<part>.{checkpoint,logits}.

    Parameters
    ----------
    strategies
        All but ``plain`` have a partition. The baseline, which may teach too, is none of them.
    num_parts
        Teachers of each of these.
    num_plain
        Teachers of ``plain``, which learn all labels.
    embedded
        Whether the heads read ``label_embeddings``.
    mode
        Whether each is a training of its own, or those of groups are trained in one pass: as
        branches of one network (``joint``), or on the baseline's layers (``frozen``).
    """
    assign = hand_out_groups(strategies, num_parts, num_plain)
    groups = teacher_names([name for name in strategies if name != PLAIN], num_parts)
    alone = teacher_names([name for name in strategies if name == PLAIN], num_parts, num_plain)
    if groups and mode != "separate":
        assign += Pipeline([_all_teachers(groups, embedded, mode)])
    else:
        alone += groups
    return assign + sum((_teacher(name, embedded) for name in alone), Pipeline([]))


def hand_out_groups(
    strategies: Sequence[str] = ("cgp", "dgp"), num_parts: int = 3, num_plain: int = 1
) -> Pipeline:
    """partition_<strategy>, or the labels for plain teachers → teachers.<strategy>_<part>.group.

    Part of the pipeline graph_partition too: with its groups handed out, a teacher can be trained
    by its namespace alone.
    """
    return Pipeline(
        [_assign(name, teacher_names([name], num_parts, num_plain)) for name in strategies]
    )


def _assign(strategy: str, teachers: Sequence[str]) -> Node:
    plain = strategy == PLAIN
    return Node(
        assign_all_labels if plain else assign_groups,
        inputs=["labels" if plain else f"partition_{strategy}", "params:partition"],
        outputs=[f"{BOX}.{teacher}.group" for teacher in teachers],
        name="assign_all_labels" if plain else f"assign_groups_{strategy}",
        namespace=GROUPS,
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
        namespace=f"{BOX}.{name}",
        inputs=set(node.inputs) - {"group"} - PARAMETERS,
        parameters=PARAMETERS,
    )


def _all_teachers(names: Sequence[str], embedded: bool, mode: Mode) -> Node:
    outputs = [f"{name}.{kind}" for name in names for kind in ("checkpoint", "logits")]
    return Node(
        train_teachers,
        inputs={
            **({"baseline": BASELINE} if mode == "frozen" else {}),
            **{f"group_{name}": f"{BOX}.{name}.group" for name in names},
            **_inputs(embedded),
            "store": "store",
        },
        outputs={output: f"{BOX}.{output}" for output in outputs},
        name="train",
        tags="training",
        namespace=BOX,
    )


def _inputs(embedded: bool) -> dict[str, str]:
    """What every teacher is made from besides its group, argument by argument."""
    parameters = {name.removeprefix("params:"): name for name in PARAMETERS}
    entries = {entry.removeprefix("label_"): entry for entry in ["label_embeddings"] * embedded}
    return {"pictures": "pictures", "labels": "labels", **parameters, **entries}

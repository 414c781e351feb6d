"""Wiring of the teachers: one namespaced node a group, or one for all.

::

    partition_cgp ──► teachers.cgp_0.group ──► teachers.cgp_0 ──► teachers.cgp_0.logits
                 └──► teachers.cgp_1.group ──► teachers.cgp_1 ──► teachers.cgp_1.logits
           labels ──► teachers.full_label_0.group ──► teachers.full_label_0 ──► ….logits

Trained in one pass, the entries of all groups come from one node; for branches on the baseline's
frozen layers it reads ``baseline.checkpoint`` too. A plain teacher is a training of its own all the
same: what it adds is that it is another model. Groups are handed out in the box of the partitions:
with all boxes closed, Kedro-Viz shows one for each teacher between them.
"""

from collections.abc import Sequence
from typing import Literal

from kedro.pipeline import Node, Pipeline

from mlic.distillation.teacher_id import TeacherId, list_teachers
from mlic.labels.options import FULL_LABEL
from mlic.pipelines.teacher_training.nodes import (
    assign_all_labels,
    assign_groups,
    train_teacher,
    train_teachers,
)

__all__ = ["assign_teacher_groups", "create_pipeline"]

Mode = Literal["separate", "joint", "frozen"]

BOX, GROUPS, BASELINE = "teachers", "graph_partition", "baseline.checkpoint"
PARAMETERS = {
    f"params:{name}" for name in ("data", "model", "training", "teachers", "seed")
}  # the same for all


def create_pipeline(
    strategies: Sequence[str] = ("cgp", "dgp"),
    num_parts: int = 3,
    num_full_label: int = 1,
    embedded: bool = False,
    mode: Mode = "separate",
) -> Pipeline:
    """partition_<strategy>, images, labels → teachers.<strategy>_<part>.{checkpoint,logits}.

    Parameters
    ----------
    strategies
        All but ``full_label`` have a partition. The baseline, which may teach too, is none of them.
    num_parts
        Teachers of each of these.
    num_full_label
        Teachers of ``full_label``, which learn all labels.
    embedded
        Whether the heads read ``label_embeddings``.
    mode
        Whether each is a training of its own, or those of groups are trained in one pass: as
        branches of one network (``joint``), or on the baseline's layers (``frozen``).
    """
    assign = assign_teacher_groups(strategies, num_parts, num_full_label)
    groups = list_teachers([name for name in strategies if name != FULL_LABEL], num_parts)
    alone = list_teachers(
        [name for name in strategies if name == FULL_LABEL], num_parts, num_full_label
    )
    if groups and mode != "separate":
        assign += Pipeline([_all_teachers(groups, embedded, mode)])
    else:
        alone += groups
    return assign + sum((_teacher(teacher, embedded) for teacher in alone), Pipeline([]))


def assign_teacher_groups(
    strategies: Sequence[str] = ("cgp", "dgp"), num_parts: int = 3, num_full_label: int = 1
) -> Pipeline:
    """partition_<strategy>, or the labels for plain teachers → teachers.<strategy>_<part>.group.

    Part of the pipeline graph_partition too: with its groups handed out, a teacher can be trained
    by its namespace alone.
    """
    return Pipeline(
        [_assign(name, list_teachers([name], num_parts, num_full_label)) for name in strategies]
    )


def _assign(strategy: str, teachers: Sequence[TeacherId]) -> Node:
    plain = strategy == FULL_LABEL
    return Node(
        assign_all_labels if plain else assign_groups,
        inputs=["labels" if plain else f"partition_{strategy}", "params:partition"],
        outputs=[f"{teacher.name}.group" for teacher in teachers],
        name="assign_all_labels" if plain else f"assign_groups_{strategy}",
        namespace=GROUPS,
    )


def _teacher(teacher: TeacherId, embedded: bool) -> Pipeline:
    node = Node(
        train_teacher,
        inputs={"group": "group", **_inputs(embedded), "store": "store"},
        outputs=["checkpoint", "logits"],
        name="train",
        tags="training",
    )
    return Pipeline(
        [node],
        namespace=teacher.name,
        inputs=set(node.inputs) - {"group"} - PARAMETERS,
        parameters=PARAMETERS,
    )


def _all_teachers(teachers: Sequence[TeacherId], embedded: bool, mode: Mode) -> Node:
    outputs = [f"{teacher}.{kind}" for teacher in teachers for kind in ("checkpoint", "logits")]
    return Node(
        train_teachers,
        inputs={
            **({"baseline": BASELINE} if mode == "frozen" else {}),
            **{f"group_{teacher}": f"{teacher.name}.group" for teacher in teachers},
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
    return {"images": "images", "labels": "labels", **parameters, **entries}

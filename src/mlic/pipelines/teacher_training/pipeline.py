"""Wiring of the teachers.

::

    partition_cgp ──► teachers.cgp_0.group ──► teachers.cgp_0.{checkpoint, logits}
                 └──► teachers.cgp_1.group ──► teachers.cgp_1.{checkpoint, logits}
           labels ──► teachers.full_label_0.group ──► teachers.full_label_0.{checkpoint, logits}

Where teachers are trained in one pass (joint, frozen), one node makes the entries of all parts; it
reads baseline.checkpoint too if the baseline's layers are frozen and shared.
"""

from kedro.pipeline import Node, Pipeline

from mlic.config.shape import RunShape
from mlic.distillation.teacher_id import NAMESPACE, TeacherId
from mlic.labels.options import FULL_LABEL
from mlic.pipelines.teacher_training import nodes

__all__ = ["assign_teacher_groups", "create_pipeline"]


def create_pipeline(shape: RunShape) -> Pipeline:
    """Connect partitions to teachers, and teachers to their logits."""
    # Full-label teachers are always separate: on one trunk, they would hardly differ.
    one_pass = shape.mode != "separate"
    joined = [t for t in shape.teachers if one_pass and t.strategy != FULL_LABEL]
    train = [_train_one(shape, teacher) for teacher in shape.teachers if teacher not in joined]
    if joined:
        train.append(_train_in_one_pass(shape, joined))
    return assign_teacher_groups(shape) + Pipeline(train)


def assign_teacher_groups(shape: RunShape) -> Pipeline:
    """Connect partitions, or all labels, to ``teachers.<strategy>_<part>.group``.

    The nodes are part of the pipeline graph_partition too: with its group assigned, a teacher can
    be trained by its namespace alone.
    """
    assign = []
    for strategy in shape.trained_strategies:
        is_full = strategy == FULL_LABEL
        node = Node(
            nodes.assign_all_labels if is_full else nodes.assign_groups,
            inputs=["labels" if is_full else f"partition_{strategy}", "params:partition"],
            outputs=[f"{teacher.name}.group" for teacher in shape.teachers_of(strategy)],
            name=f"assign_groups_{strategy}",
            # Inside the teachers' box, so that a closed diagram has one entry for each partition.
            namespace=NAMESPACE,
        )
        assign.append(node)
    return Pipeline(assign)


def _train_one(shape: RunShape, teacher: TeacherId) -> Node:
    return Node(
        nodes.train_teacher,
        inputs={"group": f"{teacher.name}.group", **_common(shape)},
        outputs=[f"{teacher.name}.checkpoint", f"{teacher.name}.logits"],
        name="train",
        tags="training",
        namespace=teacher.name,
    )


def _train_in_one_pass(shape: RunShape, teachers: list[TeacherId]) -> Node:
    outputs = [f"{teacher}.{kind}" for teacher in teachers for kind in ("checkpoint", "logits")]
    return Node(
        nodes.train_teachers,
        inputs={
            **({"baseline": "baseline.checkpoint"} if shape.mode == "frozen" else {}),
            **{f"group_{teacher}": f"{teacher.name}.group" for teacher in teachers},
            **_common(shape),
        },
        # By key: a node that returns a list would depend on the order of the teachers.
        outputs={output: f"{NAMESPACE}.{output}" for output in outputs},
        name="train",
        tags="training",
        namespace=NAMESPACE,
    )


def _common(shape: RunShape) -> dict[str, str]:
    """Return the entries that every teacher is made from besides its group."""
    return {**shape.training_inputs, "teachers": "params:teachers", "store": "store"}

"""Wiring of the student.

::

    teachers.*.logits, baseline.logits ──► soft_targets ──► student.checkpoint
    student.checkpoint, baseline.checkpoint ──► averaged_student.checkpoint, if it is asked for

The logits are joined in the teachers' namespace: Kedro-Viz then shows one arrow to the student,
whatever the number of teachers. Any node that makes logits can be a teacher.
"""

from kedro.pipeline import Node, Pipeline

from mlic.config.shape import RunShape
from mlic.distillation.teacher_id import NAMESPACE
from mlic.pipelines.distillation.nodes import average_student, join_logits, train_student

__all__ = ["create_pipeline"]


def create_pipeline(shape: RunShape) -> Pipeline:
    """Connect the teachers' logits to the student."""
    # What teachers owe the student is logits: how they were trained does not matter here.
    teachers = [*(["baseline"] * shape.baseline_teaches), *(t.name for t in shape.teachers)]
    join = Node(
        join_logits,
        inputs=["labels", "store", *(f"{name}.logits" for name in teachers)],
        outputs="soft_targets",
        name="join_logits",
        namespace=NAMESPACE,
    )
    train = Node(
        train_student,
        inputs={
            **shape.training_inputs,
            "soft_targets": "soft_targets",
            "distillation": "params:distillation",
            "store": "store",
        },
        outputs="student.checkpoint",
        name="train",
        tags="training",
        namespace="student",
    )
    return Pipeline([join, train, *([_average(shape)] if shape.averaging else [])])


def _average(shape: RunShape) -> Node:
    return Node(
        average_student,
        inputs={
            **shape.training_inputs,
            "baseline": "baseline.checkpoint",
            "student": "student.checkpoint",
            "averaging": "params:averaging",
        },
        outputs=shape.student_checkpoint,
        name="average",
        namespace="student",
    )

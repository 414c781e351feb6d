"""Wiring of the student.

What the teachers say is joined in their box: what leaves it is one entry, however many they are.
"""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from mlic.distillation.teacher_id import list_teachers
from mlic.pipelines.distillation.nodes import join_logits, train_student

__all__ = ["create_pipeline"]


def create_pipeline(
    strategies: Sequence[str] = ("cgp", "dgp"),
    num_parts: int = 3,
    num_full_label: int = 1,
    embedded: bool = False,
    baseline: bool = False,
) -> Pipeline:
    """teachers.*.logits → soft_targets → student.checkpoint.

    Where the baseline teaches too, its logits are joined to theirs.
    """
    teachers = list_teachers(strategies, num_parts, num_full_label)
    logits = [
        *(["baseline.logits"] * baseline),
        *(f"{teacher.name}.logits" for teacher in teachers),
    ]
    join = Node(
        join_logits,
        inputs=["labels", "store", *logits],
        outputs="soft_targets",
        name="join_logits",
        namespace="teachers",
    )
    train = Node(
        train_student,
        inputs={
            "images": "images",
            "labels": "labels",
            "soft_targets": "soft_targets",
            "data": "params:data",
            "model": "params:model",
            "training": "params:training",
            "distillation": "params:distillation",
            "seed": "params:seed",
            "store": "store",
            **({"embeddings": "label_embeddings"} if embedded else {}),
        },
        outputs="checkpoint",
        name="train",
        tags="training",
    )
    student = Pipeline(
        [train],
        namespace="student",
        inputs={entry for entry in train.inputs if not entry.startswith("params:")},
        parameters={entry for entry in train.inputs if entry.startswith("params:")},
    )
    return Pipeline([join]) + student

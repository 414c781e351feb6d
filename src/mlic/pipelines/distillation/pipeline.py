"""Wiring of the student."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from mlic.pipelines.distillation.nodes import join_logits, train_student
from mlic.pipelines.teacher_training.pipeline import teacher_names

__all__ = ["create_pipeline"]


def create_pipeline(
    strategies: Sequence[str] = ("cgp", "dgp"),
    num_parts: int = 3,
    num_plain: int = 1,
    embedded: bool = False,
) -> Pipeline:
    """teachers.*.logits → soft_targets → student.checkpoint."""
    names = teacher_names(strategies, num_parts, num_plain)
    join = Node(
        join_logits,
        inputs=["labels", "soft_targets.store", *(f"teachers.{name}.logits" for name in names)],
        outputs="soft_targets",
        name="join_logits",
    )
    train = Node(
        train_student,
        inputs={
            "pictures": "pictures",
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
        inputs={"pictures", "labels", "soft_targets", "label_embeddings"} & set(train.inputs),
        parameters={
            "params:data",
            "params:model",
            "params:training",
            "params:distillation",
            "params:seed",
        },
    )
    return Pipeline([join]) + student

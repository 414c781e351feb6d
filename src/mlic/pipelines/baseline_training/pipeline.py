"""Wiring of the baseline, and of the one that is given the whole budget of self-distillation."""

from kedro.pipeline import Node, Pipeline

from mlic.pipelines.baseline_training.nodes import (
    predict_teacher_logits,
    train_baseline,
    train_budget_matched_baseline,
)

__all__ = ["create_pipeline"]

INPUTS = {
    "images": "images",
    "labels": "labels",
    "data": "params:data",
    "model": "params:model",
    "training": "params:training",
    "seed": "params:seed",
    "store": "store",
}


def create_pipeline(
    longer: bool = False, embedded: bool = False, teaches: bool = False
) -> Pipeline:
    """images, labels → baseline.checkpoint, and budget_matched_baseline.checkpoint if asked for.

    Where the baseline teaches, what it says of the training images is written to baseline.logits.
    """
    common = INPUTS | ({"embeddings": "label_embeddings"} if embedded else {})
    teachers = {"teachers": "params:teachers"}
    nodes = [Node(train_baseline, common, "checkpoint", name="train", tags="training")]
    if teaches:
        heard = {"checkpoint": "checkpoint"} | common | teachers
        nodes.append(Node(predict_teacher_logits, heard, "logits", name="predict_teacher_logits"))
    pipeline = _box(nodes, "baseline")
    if longer:
        inputs = common | teachers | {"partition": "params:partition"}
        train = Node(
            train_budget_matched_baseline, inputs, "checkpoint", name="train", tags="training"
        )
        pipeline += _box([train], "budget_matched_baseline")
    return pipeline


def _box(nodes: list[Node], namespace: str) -> Pipeline:
    given = Pipeline(nodes).inputs()
    parameters = {entry for entry in given if entry.startswith("params:")}
    return Pipeline(nodes, namespace=namespace, inputs=given - parameters, parameters=parameters)

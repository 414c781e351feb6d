"""Wiring of the baseline, and of the one that is given the whole budget of self-distillation."""

from kedro.pipeline import Node, Pipeline

from mlic.pipelines.baseline_training.nodes import train_baseline, train_longer

__all__ = ["create_pipeline"]

INPUTS = {
    "pictures": "pictures",
    "labels": "labels",
    "data": "params:data",
    "model": "params:model",
    "training": "params:training",
    "seed": "params:seed",
    "store": "store",
}


def create_pipeline(longer: bool = False, embedded: bool = False) -> Pipeline:
    """pictures, labels → baseline.checkpoint, and longer.checkpoint if it is asked for."""
    common = INPUTS | ({"embeddings": "label_embeddings"} if embedded else {})
    train = Node(train_baseline, common, "checkpoint", name="train", tags="training")
    pipeline = _box(train, "baseline")
    if longer:
        inputs = common | {"partition": "params:partition", "teachers": "params:teachers"}
        train = Node(train_longer, inputs, "checkpoint", name="train", tags="training")
        pipeline += _box(train, "longer")
    return pipeline


def _box(train: Node, namespace: str) -> Pipeline:
    parameters = {name for name in train.inputs if name.startswith("params:")}
    inputs = {"pictures", "labels", "label_embeddings"} & set(train.inputs)
    return Pipeline([train], namespace=namespace, inputs=inputs, parameters=parameters)

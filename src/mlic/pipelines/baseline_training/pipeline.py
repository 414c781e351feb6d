"""Wiring of the baseline, and of the one that is given the whole budget of self-distillation."""

from kedro.pipeline import Node, Pipeline

from mlic.pipelines.baseline_training.nodes import tell_views, train_baseline, train_longer

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


def create_pipeline(
    longer: bool = False, embedded: bool = False, teaches: bool = False
) -> Pipeline:
    """pictures, labels → baseline.checkpoint, and longer.checkpoint if it is asked for.

    Where the baseline teaches, what it says of the training pictures is written to baseline.logits.
    """
    common = INPUTS | ({"embeddings": "label_embeddings"} if embedded else {})
    teachers = {"teachers": "params:teachers"}
    nodes = [Node(train_baseline, common, "checkpoint", name="train", tags="training")]
    if teaches:
        heard = {"checkpoint": "checkpoint"} | common | teachers
        nodes.append(Node(tell_views, heard, "logits", name="tell_views"))
    pipeline = _box(nodes, "baseline")
    if longer:
        inputs = common | teachers | {"partition": "params:partition"}
        train = Node(train_longer, inputs, "checkpoint", name="train", tags="training")
        pipeline += _box([train], "longer")
    return pipeline


def _box(nodes: list[Node], namespace: str) -> Pipeline:
    given = Pipeline(nodes).inputs()
    parameters = {entry for entry in given if entry.startswith("params:")}
    return Pipeline(nodes, namespace=namespace, inputs=given - parameters, parameters=parameters)

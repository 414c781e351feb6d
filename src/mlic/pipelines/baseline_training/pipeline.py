"""Wiring of the baseline, and of the one that is given the whole budget of self-distillation."""

from collections.abc import Callable
from typing import Any

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
    pipeline = _box(train_baseline, common, "baseline")
    if longer:
        inputs = common | {"partition": "params:partition", "teachers": "params:teachers"}
        pipeline += _box(train_longer, inputs, "longer")
    return pipeline


def _box(train: Callable[..., Any], inputs: dict[str, str], namespace: str) -> Pipeline:
    parameters = {entry for entry in inputs.values() if entry.startswith("params:")}
    return Pipeline(
        [Node(train, inputs, "checkpoint", name="train", tags="training")],
        namespace=namespace,
        inputs=set(inputs.values()) - parameters,
        parameters=parameters,
    )

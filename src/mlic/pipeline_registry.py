"""The project's pipelines, in the shape that the parameters ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.pipeline import Pipeline
from omegaconf import OmegaConf

from mlic.config.parameters import Parameters, check_parameters
from mlic.labels.options import BASELINE
from mlic.pipelines import (
    baseline_training,
    data_preparation,
    distillation,
    graph_partition,
    label_statistics,
    reporting,
    teacher_training,
)
from mlic.pipelines.teacher_training.pipeline import assign_teacher_groups
from mlic.utils.annotations import hide_unimported_types

__all__ = ["register_pipelines", "remember"]

_shape: list[Parameters] = []  # the parameters of the newest Kedro context, if there is one


def remember(parameters: Parameters) -> None:
    """Let the pipelines registered from now on follow these parameters."""
    _shape[:] = [parameters]


def _default_parameters() -> Parameters:
    """Those of conf/base: ``kedro registry list`` makes no context to ask, and no loader."""
    base = Path(__file__).parents[2] / "conf" / "base"
    files = [OmegaConf.load(path) for path in sorted(base.glob("parameters*.yml"))]
    merged: Any = OmegaConf.to_container(OmegaConf.merge(*files))
    return check_parameters(merged)


def register_pipelines() -> dict[str, Pipeline]:
    """All pipelines by name; ``__default__`` runs every one of them."""
    parameters = _shape[0] if _shape else _default_parameters()
    partition, longer = parameters.partition, parameters.controls.budget_matched_baseline
    shape = (partition.trained, partition.num_parts, partition.num_full_label)
    teaches = BASELINE in partition.strategies
    embedded = parameters.model.embeddings.source != "learned"  # else the heads begin at random
    pipelines = {
        "data_preparation": data_preparation.create_pipeline(parameters.data.source),
        "label_statistics": label_statistics.create_pipeline(embedded),
        "graph_partition": graph_partition.create_pipeline(partition.trained)
        + assign_teacher_groups(*shape),
        "baseline_training": baseline_training.create_pipeline(longer, embedded, teaches),
        "teacher_training": teacher_training.create_pipeline(
            *shape, embedded, mode=parameters.teachers.mode
        ),
        "distillation": distillation.create_pipeline(*shape, embedded, teaches),
        "reporting": reporting.create_pipeline(
            *shape, longer, masks=parameters.data.source == "synthetic"
        ),
    }
    boxed = {name: _box(pipeline, name) for name, pipeline in pipelines.items()}
    default = sum(boxed.values(), Pipeline([]))
    for node in default.nodes:
        hide_unimported_types(node.func)
    return {**boxed, "__default__": default}


def _box(pipeline: Pipeline, name: str) -> Pipeline:
    """Put the nodes that are in no box into one of this name, and leave their data as they are.

    Kedro-Viz then draws the walk from images to report: a box a step, to be opened by a click.
    """
    loose = [node for node in pipeline.nodes if node.namespace is None]
    boxed = Pipeline([node for node in pipeline.nodes if node.namespace is not None])
    if not loose:
        return boxed
    step = Pipeline(loose)
    parameters = {entry for entry in step.inputs() if entry.startswith("params:")}
    return boxed + Pipeline(
        step,
        namespace=name,
        inputs=step.inputs() - parameters - {"parameters"},
        outputs=step.all_outputs(),
        parameters=parameters,
    )

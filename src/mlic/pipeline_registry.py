"""The project's pipelines, in the shape that the parameters ask for."""

from __future__ import annotations

from pathlib import Path

from kedro.config import OmegaConfigLoader
from kedro.pipeline import Pipeline

from mlic.parameters import Parameters, check_parameters
from mlic.pipelines import (
    baseline_training,
    data_preparation,
    distillation,
    graph_partition,
    label_statistics,
    reporting,
    teacher_training,
)

__all__ = ["register_pipelines", "remember"]

_shape: list[Parameters] = []  # the parameters of the newest Kedro context, if there is one


def remember(parameters: Parameters) -> None:
    """Let the pipelines registered from now on follow these parameters."""
    _shape[:] = [parameters]


def _default_parameters() -> Parameters:
    """Those of conf/base: ``kedro registry list`` makes no context to ask."""
    conf = Path(__file__).parents[2] / "conf"
    loader = OmegaConfigLoader(str(conf), base_env="base", default_run_env="base")
    return check_parameters(loader["parameters"])


def register_pipelines() -> dict[str, Pipeline]:
    """All pipelines by name; ``__default__`` runs every one of them."""
    parameters = _shape[0] if _shape else _default_parameters()
    partition, longer = parameters.partition, parameters.controls.longer_baseline
    shape = (partition.strategies, partition.num_parts, partition.num_plain)
    embedded = parameters.model.embeddings.source != "learned"  # else the heads begin at random
    pipelines = {
        "data_preparation": data_preparation.create_pipeline(parameters.data.source),
        "label_statistics": label_statistics.create_pipeline(embedded),
        "graph_partition": graph_partition.create_pipeline(partition.strategies),
        "baseline_training": baseline_training.create_pipeline(longer, embedded),
        "teacher_training": teacher_training.create_pipeline(
            *shape, embedded, joint=parameters.teachers.mode == "joint"
        ),
        "distillation": distillation.create_pipeline(*shape, embedded),
        "reporting": reporting.create_pipeline(
            *shape, longer, masks=parameters.data.source == "scenes"
        ),
    }
    return {**pipelines, "__default__": sum(pipelines.values(), Pipeline([]))}

"""The project's pipelines, in the shape that the parameters ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.pipeline import Pipeline
from omegaconf import OmegaConf

from mlic.config.parameters import check_parameters
from mlic.config.shape import RunShape, get_shape
from mlic.pipelines import (
    baseline_training,
    calibration,
    data_preparation,
    distillation,
    export,
    graph_partition,
    inference,
    label_statistics,
    reporting,
    teacher_training,
)
from mlic.utils.annotations import hide_unimported_types

__all__ = ["register_pipelines"]

# in the order of a run
_PACKAGES = (
    data_preparation,
    label_statistics,
    graph_partition,
    baseline_training,
    teacher_training,
    distillation,
    calibration,
    reporting,
)
_ON_REQUEST = (inference, export)  # uses of a trained model


def register_pipelines() -> dict[str, Pipeline]:
    """Build all pipelines by name; ``__default__`` runs those from the images to the report."""
    shape = get_shape() or _base_shape()
    pipelines = {}
    for package in (*_PACKAGES, *_ON_REQUEST):
        name = package.__name__.rpartition(".")[2]
        pipelines[name] = _group(package.create_pipeline(shape), name)
        for node in pipelines[name].nodes:
            hide_unimported_types(node.func)
    default = [pipelines[package.__name__.rpartition(".")[2]] for package in _PACKAGES]
    return {**pipelines, "__default__": sum(default, Pipeline([]))}


def _base_shape() -> RunShape:
    """Shape of conf/base: ``kedro registry list`` makes no context, and so no configuration."""
    base = Path(__file__).parents[2] / "conf" / "base"
    files = [OmegaConf.load(path) for path in sorted(base.glob("parameters*.yml"))]
    merged: Any = OmegaConf.to_container(OmegaConf.merge(*files))
    return RunShape.from_parameters(check_parameters(merged))


def _group(pipeline: Pipeline, name: str) -> Pipeline:
    """Put nodes without a namespace into one of this name, without renaming their data.

    Kedro-Viz draws one collapsible box for each namespace.
    """
    loose = [node for node in pipeline.nodes if node.namespace is None]
    grouped = Pipeline([node for node in pipeline.nodes if node.namespace is not None])
    if not loose:
        return grouped
    return grouped + Pipeline(loose, namespace=name, prefix_datasets_with_namespace=False)

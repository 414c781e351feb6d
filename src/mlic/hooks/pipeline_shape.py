"""Check all parameters, and build the pipelines in the shape that they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines

from mlic.errors import ParameterError

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext

__all__ = ["PipelineShape"]


class PipelineShape:
    """Checks all parameters at once, and lets the pipelines follow them."""

    def __init__(self) -> None:
        self._runtime_params: Mapping[str, Any] = {}

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Build the pipelines again, because the number of teachers is a parameter.

        Wrong parameters are one ParameterError, which lists all of them.
        """
        from mlic.config.parameters import check_parameters
        from mlic.config.shape import RunShape, set_shape

        # Not `context.params`, which would load the pipelines before their shape is known.
        parameters = check_parameters(context.config_loader["parameters"])
        set_shape(RunShape.from_parameters(parameters))
        pipelines.configure("mlic.pipeline_registry")  # drops the pipelines of an earlier session
        self._runtime_params = context.config_loader.runtime_params or {}

    @hook_impl
    def after_catalog_created(
        self, conf_catalog: Mapping[str, Any], parameters: Mapping[str, Any]
    ) -> None:
        """Raise a ParameterError if ``data.source`` and the catalog contradict each other."""
        has_images, source = "raw_images" in conf_catalog, parameters["params:data.source"]
        if source == "catalog" and not has_images:
            raise ParameterError(
                "data.source is 'catalog', but the catalog has no entry raw_images: describe "
                "your data in conf/<environment>/catalog.yml and run with --env <environment>",
                parameter="data.source",
            )
        # Where the catalog has images, only the command line may ask for synthetic ones.
        is_asked_for = "source" in self._runtime_params.get("data", {})
        if source == "synthetic" and has_images and not is_asked_for:
            raise ParameterError(
                "the catalog has the entry raw_images, which would not be read, because "
                "data.source is 'synthetic': set data: {source: catalog} in parameters.yml of the "
                "same environment, or use synthetic images with --params data.source=synthetic",
                parameter="data.source",
            )

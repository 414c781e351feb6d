"""What happens around a run: its shape, its MLflow parent run, its words on the terminal.

The hooks live in the main process only; a training opens its own MLflow run where it trains.
Nothing heavy is imported here: every `kedro` command pays for it.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from omegaconf import OmegaConf

from mlic.errors import ParameterError, TrainingError
from mlic.hooks.console import PlainExcepthook, exit_codes, is_news, main_figures, show_results
from mlic.tracking import runs as tracking
from mlic.tracking.settings import describe_run, flatten_numbers, read_settings
from mlic.utils.logging import set_up_logging
from mlic.utils.signals import exit_on_sigterm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

    from mlic.config.parameters import Parameters

__all__ = ["ClosingTable", "PipelineShape", "PlainErrors", "RunTracking"]

logger = logging.getLogger(__name__)


class PipelineShape:
    """Checks all parameters at once and lets the pipelines follow them."""

    def __init__(self) -> None:
        self._said: Mapping[str, Any] = {}

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Rebuild the pipelines, whose number of teachers is a parameter.

        Parameters
        ----------
        context
            Its configuration is read, never its `params`: those load the pipelines.

        Raises
        ------
        ParameterError
            Naming every mistake in the parameters.
        """
        from mlic.config.parameters import check_parameters
        from mlic.pipeline_registry import remember

        remember(check_parameters(context.config_loader["parameters"]))
        pipelines.configure("mlic.pipeline_registry")  # drops what an earlier session built
        self._said = context.config_loader.runtime_params or {}

    @hook_impl
    def after_catalog_created(
        self, conf_catalog: Mapping[str, Any], parameters: Mapping[str, Any]
    ) -> None:
        """Refuse to pass an environment's own data over, and to ask it for data it has not.

        Parameters
        ----------
        conf_catalog
            The catalog's configuration.
        parameters
            What Kedro puts into the catalog of them; only the command line itself may ask for
            the scenes where there are other data.

        Raises
        ------
        ParameterError
            If ``data.source`` says one thing and the catalog another.
        """
        described, source = "raw_images" in conf_catalog, parameters["params:data.source"]
        if source == "catalog" and not described:
            raise ParameterError(
                "data.source is 'catalog', but the catalog has no entry raw_images: describe "
                "your data in conf/<environment>/catalog.yml and run with --env <environment>"
            )
        if source == "synthetic" and described and "source" not in self._said.get("data", {}):
            raise ParameterError(
                "the catalog has the entry raw_images, which would not be read, for data.source "
                "is 'synthetic': set data: {source: catalog} in parameters.yml of the same "
                "environment, or draw the scenes all the same with --params data.source=synthetic"
            )


class RunTracking:
    """Says what a run will train, and keeps the MLflow run that its trainings hang under."""

    def __init__(self) -> None:
        self._context: KedroContext | None = None
        self._is_open = False

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Keep the context: it knows parameters, and where the configuration lies."""
        self._context = context

    @hook_impl
    def before_pipeline_run(
        self,
        run_params: dict[str, Any],
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
    ) -> None:
        """Announce the trainings that are not up to date, and open the parent run if there are any.

        Raises
        ------
        PartitionError
            If a partition of an earlier run does not fit the teachers that are wired.
        TrainingError
            If MLflow's store cannot be reached, or the thread runner is to train.
        """
        from mlic.runners.node_cache import filter_stale_nodes

        self._close("KILLED")  # a run before, in this process, that was interrupted
        if self._context is None:
            return
        if _trains(pipeline):
            self._refuse(run_params, pipeline, catalog)
        stale = filter_stale_nodes(pipeline, catalog, run_params.get("run_id"))
        if _trains(stale):
            self._announce(pipeline, stale, catalog)
            self._open(run_params)
        elif not stale.nodes:
            files = ", ".join(map(_short, _result_files(pipeline, catalog)))
            logger.info("Everything is up to date%s", f": {files}" if files else "")

    def _refuse(
        self,
        run_params: dict[str, Any],
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
    ) -> None:
        from mlic.hooks.checks import refuse_other_partitions

        if "ThreadRunner" in str(run_params.get("runner")):
            raise TrainingError(
                "the thread runner cannot train: threads of one process share torch's random "
                "numbers, and no figure could be had again; take --runner=ParallelRunner"
            )
        refuse_other_partitions(pipeline, self._parameters().partition.num_parts, catalog)

    def _announce(
        self, pipeline: Pipeline, stale: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Say what is to be trained; to price it takes torch, and a few steps of training."""
        from mlic.hooks.cost_estimate import count_trainings, plan_run

        number = count_trainings(pipeline)
        fresh = number - count_trainings(stale)
        known = f"; {fresh} of {number} trainings are up to date" if fresh else ""
        logger.info("%s%s", plan_run(stale, self._parameters(), catalog), known)

    def _open(self, run_params: dict[str, Any]) -> None:
        assert self._context is not None
        loader = self._context.config_loader
        settings = read_settings(loader["mlflow"], Path(self._context.project_path))
        logger.info("MLflow keeps '%s' in %s", settings.experiment, settings.tracking_uri)
        name, tags = describe_run(run_params, self._parameters())
        exit_on_sigterm()
        tags |= tracking.provenance()
        tracking.open_parent(settings, name, loader["parameters"], tags)
        self._is_open = True
        atexit.register(self._close, "KILLED")  # Kedro tells its hooks nothing of Ctrl-C

    def _parameters(self) -> Parameters:
        from mlic.config.parameters import check_parameters

        assert self._context is not None
        return check_parameters(self._context.config_loader["parameters"])

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Log the run's main figures and files, and close it, if it is open."""
        if not self._is_open:
            return
        run = tracking.parent_run()
        if summary := _summary(pipeline, catalog):
            run.report(0, flatten_numbers(main_figures(summary)))
        for path in _reported_files(pipeline, catalog):
            run.attach(path, "reporting")
        self._close("FINISHED")

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Close the run as failed."""
        self._close("FAILED")

    def _close(self, status: str) -> None:
        atexit.unregister(self._close)
        tracking.close_parent(status)
        self._is_open = False


class ClosingTable:
    """Shows what came out of a run."""

    @hook_impl(trylast=True)
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Show the closing table, if the run made a summary."""
        if summary := _summary(pipeline, catalog):
            show_results(summary, [_short(path) for path in _result_files(pipeline, catalog)])


class PlainErrors:
    """Lets an error that mlic raises on purpose speak once, without a traceback."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Put the log's form, the excepthook, the exit codes and the log filter in place.

        Parameters
        ----------
        context
            Knows where the project lies: Kedro looks for its logging where the command was given.
        """
        if "KEDRO_LOGGING_CONFIG" not in os.environ:
            _set_levels(Path(context.project_path, "conf", "logging.yml"))
        logging.getLogger("kedro.pipeline.node").addFilter(is_news)
        if not isinstance(sys.excepthook, PlainExcepthook):
            sys.excepthook = PlainExcepthook(sys.excepthook)
        set_up_logging()
        if command := click.get_current_context(silent=True):
            command.with_resource(exit_codes())


def _set_levels(settings: Path) -> None:
    """Let the project's levels hold; no handler is touched, for a notebook may have its own."""
    if settings.is_file() and settings.parents[1] != Path.cwd():
        told: Any = OmegaConf.load(settings)
        for name, about in told.get("loggers", {}).items():
            logging.getLogger(name).setLevel(about["level"])


def _trains(pipeline: Pipeline) -> bool:
    return any("training" in node.tags for node in pipeline.nodes)


def _summary(pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> dict[str, Any]:
    if "summary" not in pipeline.all_outputs() or "summary" not in catalog:
        return {}
    summary: dict[str, Any] = catalog["summary"].load()
    return summary


def _result_files(pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> list[Path]:
    """Files behind the report and the summary, where the run wrote them."""
    return _paths(catalog[name] for name in ("report", "summary") if _made(name, pipeline, catalog))


def _reported_files(pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> list[Path]:
    """Files of the run's figures, tables and documents: those of Kedro-Viz's layer reporting."""
    names = [name for name in sorted(pipeline.all_outputs()) if _made(name, pipeline, catalog)]
    return _paths(entry for entry in map(catalog.get, names) if _layer(entry) == "reporting")


def _made(name: str, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> bool:
    return name in pipeline.all_outputs() and name in catalog


def _layer(entry: Any) -> str | None:
    return ((getattr(entry, "metadata", None) or {}).get("kedro-viz") or {}).get("layer")


def _paths(entries: Iterable[Any]) -> list[Path]:
    paths = [getattr(entry, "_filepath", None) for entry in entries]
    return [Path(path) for path in paths if path is not None]


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)

"""What happens around a run: its shape, its MLflow parent run, its words on the terminal.

The hooks live in the main process only; a training opens its own MLflow run where it trains.
Nothing heavy is imported here: every `kedro` command pays for it.
"""

from __future__ import annotations

import atexit
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines

from mlic.console import PlainExcepthook, closing_table, exit_codes, is_news, main_figures
from mlic.interrupts import exit_on_sigterm
from mlic.pipelines import tracking
from mlic.pipelines.tracking_settings import flatten_numbers, read_settings

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

__all__ = ["Announce", "PipelineShape", "PlainErrors", "RunTracking"]

logger = logging.getLogger(__name__)


class PipelineShape:
    """Checks all parameters at once and lets the pipelines follow them."""

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
        from mlic.parameters import check_parameters
        from mlic.pipeline_registry import remember

        remember(check_parameters(context.config_loader["parameters"]))
        pipelines.configure("mlic.pipeline_registry")  # drops what an earlier session built


class RunTracking:
    """Opens and closes the MLflow run that a pipeline run's trainings hang under."""

    def __init__(self) -> None:
        self._context: KedroContext | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Keep the context: it knows where the configuration lies."""
        self._context = context

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline) -> None:
        """Open the parent run, if anything will be trained.

        Raises
        ------
        TrainingError
            If MLflow's store cannot be reached.
        """
        self._close("KILLED")  # a run before, in this process, that was interrupted
        if not _trains(pipeline) or self._context is None:
            return
        loader = self._context.config_loader
        settings = read_settings(loader["mlflow"], Path(self._context.project_path))
        logger.info("MLflow keeps '%s' in %s", settings.experiment, settings.tracking_uri)
        tags = {**tracking.provenance(), **_describe(run_params)}
        exit_on_sigterm()
        tracking.open_parent(settings, tags["kedro.pipelines"], loader["parameters"], tags)
        atexit.register(self._close, "KILLED")  # Kedro tells its hooks nothing of Ctrl-C

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Log the run's main figures and files, and close it."""
        run = tracking.parent_run()
        if summary := _summary(pipeline, catalog):
            run.report(0, flatten_numbers(main_figures(summary)))
        for path in _result_files(pipeline, catalog):
            run.attach(path, "reporting")
        self._close("FINISHED")

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Close the run as failed."""
        self._close("FAILED")

    def _close(self, status: str) -> None:
        atexit.unregister(self._close)
        tracking.close_parent(status)


class Announce:
    """Says before a run what will be trained, and after it what came out."""

    def __init__(self) -> None:
        self._context: KedroContext | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Keep the context for its parameters."""
        self._context = context

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Log the number of trainings and an estimate of time and space.

        Raises
        ------
        PartitionError
            If a partition of an earlier run does not fit the teachers that are wired.
        """
        if not _trains(pipeline) or self._context is None:
            return
        from mlic.parameters import check_parameters
        from mlic.pipelines.plan import plan_run
        from mlic.pipelines.wiring import refuse_other_partitions

        parameters = check_parameters(self._context.config_loader["parameters"])
        refuse_other_partitions(pipeline, parameters.partition.num_parts, catalog)
        logger.info(plan_run(pipeline, parameters, catalog))

    @hook_impl(trylast=True)
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Show the closing table, if the run made a summary."""
        if not (summary := _summary(pipeline, catalog)):
            return
        from rich.console import Console

        table = closing_table(summary)
        files = _result_files(pipeline, catalog)
        table.caption = "\n".join(_short(path) for path in files) or None
        Console().print(table)


class PlainErrors:
    """Lets an error that mlic raises on purpose speak once, without a traceback."""

    @hook_impl(tryfirst=True)
    def after_context_created(self) -> None:
        """Put the excepthook, the exit codes and the log filter in place."""
        logging.getLogger("kedro.pipeline.node").addFilter(is_news)
        if not isinstance(sys.excepthook, PlainExcepthook):
            sys.excepthook = PlainExcepthook(sys.excepthook)
        if command := click.get_current_context(silent=True):
            command.with_resource(exit_codes())


def _trains(pipeline: Pipeline) -> bool:
    return any("training" in node.tags for node in pipeline.nodes)


def _describe(run_params: dict[str, Any]) -> dict[str, str]:
    """Tags that say which part of which pipeline ran, in which environment."""
    names = run_params.get("pipeline_names") or ["__default__"]
    chosen = ("tags", "from_nodes", "to_nodes", "node_names", "namespaces")
    tags = {f"kedro.{key}": str(run_params[key]) for key in chosen if run_params.get(key)}
    return {
        "kedro.pipelines": ", ".join(names),
        "kedro.env": str(run_params.get("env") or "local"),
        "kedro.run_id": str(run_params["run_id"]),
        **tags,
    }


def _summary(pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> dict[str, Any]:
    if "summary" not in pipeline.all_outputs() or "summary" not in catalog:
        return {}
    summary: dict[str, Any] = catalog["summary"].load()
    return summary


def _result_files(pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> list[Path]:
    """Files behind the report and the summary, where the run wrote them."""
    names = [name for name in ("report", "summary") if name in pipeline.all_outputs()]
    paths = [getattr(catalog[name], "_filepath", None) for name in names if name in catalog]
    return [Path(path) for path in paths if path is not None]


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)

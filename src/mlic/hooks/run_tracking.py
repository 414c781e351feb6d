"""Announce what a run will train, and keep the MLflow run of the pipeline open."""

from __future__ import annotations

import atexit
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from mlic.errors import TrainingError
from mlic.hooks.checks import check_devices, check_partitions
from mlic.hooks.console import main_figures
from mlic.hooks.results import entry_files, load_summary, result_files, short_path
from mlic.runners.node_cache import filter_stale_nodes
from mlic.tracking import runs
from mlic.tracking.abandoned import close_left_open
from mlic.tracking.metrics import run_metrics
from mlic.tracking.settings import TrackingSettings, describe_run, read_settings
from mlic.utils.memory import require_room_for_libraries
from mlic.utils.signals import exit_on_sigterm

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext

    from mlic.config.parameters import Parameters

Catalog = CatalogProtocol[str, Any]

STUDENT = "student.model"

__all__ = ["RunTracking"]

logger = logging.getLogger(__name__)


class RunTracking:
    """Announces the trainings of a run, and opens and closes the MLflow run of the pipeline."""

    def __init__(self) -> None:
        self._context: KedroContext | None = None
        self._is_open = False

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Keep the context, which holds the parameters and the project's path."""
        self._context = context

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Catalog
    ) -> None:
        """Announce the trainings that are not up to date, and open the MLflow run if there are any.

        Raises
        ------
        PartitionError, CheckpointError
            If a stored partition does not fit the teachers.
        ParameterError
            If a training asks for more devices than there are.
        TrainingError
            If MLflow's store cannot be reached, or the thread runner is to train.
        MlicError
            If this process may use less memory than its libraries need.
        """
        self._close("KILLED")  # an earlier, interrupted run of this process
        if self._context is None:
            return
        # Before stale nodes are looked for: an unfit partition is an error even if all is stored.
        if _trains(pipeline):
            self._check(run_params, pipeline, catalog)
        stale = filter_stale_nodes(pipeline, catalog, run_params.get("run_id"))
        if stale.nodes:
            require_room_for_libraries()
        if _trains(stale):
            self._announce(pipeline, stale, catalog)
            self._open(run_params)
            return
        close_left_open(self._settings())
        if not stale.nodes:
            files = ", ".join(map(short_path, result_files(pipeline, catalog)))
            logger.info("Everything is up to date%s", f": {files}" if files else "")

    def _check(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Catalog) -> None:
        if "ThreadRunner" in str(run_params.get("runner")):
            raise TrainingError(
                "the thread runner cannot train: threads of one process share torch's random "
                "numbers, so that results would not be reproducible; use --runner=ParallelRunner"
            )
        check_devices(self._parameters().training)
        check_partitions(pipeline, self._parameters().partition.num_parts, catalog)

    def _announce(self, pipeline: Pipeline, stale: Pipeline, catalog: Catalog) -> None:
        from mlic.hooks.cost_estimate import count_trainings, estimate_cost

        number = count_trainings(pipeline)
        fresh = number - count_trainings(stale)
        suffix = f"; {fresh} of {number} trainings are up to date" if fresh else ""
        logger.info("%s%s", estimate_cost(stale, self._parameters(), catalog), suffix)

    def _open(self, run_params: dict[str, Any]) -> None:
        settings = self._settings()
        logger.info("MLflow: experiment '%s' in %s", settings.experiment, settings.tracking_uri)
        name, tags = describe_run(run_params, self._parameters())
        exit_on_sigterm()
        tags |= runs.provenance()
        # with all defaults: every value that a figure depends on
        try:
            runs.open_parent(settings, name, self._parameters().model_dump(mode="json"), tags)
        except TrainingError as error:
            if settings.required:
                raise
            logger.warning("This run is not tracked: %s", error)
            return
        self._is_open = True
        atexit.register(self._close, "KILLED")  # Kedro calls no hook on Ctrl-C

    def _settings(self) -> TrackingSettings:
        assert self._context is not None
        loader = self._context.config_loader
        return read_settings(loader["mlflow"], Path(self._context.project_path))

    def _parameters(self) -> Parameters:
        # Here, because Kedro loads the hooks for every command, and pydantic is slow to load.
        from mlic.config.parameters import check_parameters

        assert self._context is not None
        return check_parameters(self._context.config_loader["parameters"])

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: Catalog) -> None:
        """Log the run's main figures and files, and close it, if it is open."""
        if not self._is_open:
            return
        run = runs.parent_run()
        summary = load_summary(pipeline, catalog)
        if summary:
            run.log_epoch(0, run_metrics(main_figures(summary)))
        # The report contains its figures and tables: they are not attached once more.
        for path in result_files(pipeline, catalog):
            run.log_file(path, "reporting")
        self._log_model(pipeline, catalog, summary)
        self._close("FINISHED")

    def _log_model(self, pipeline: Pipeline, catalog: Catalog, summary: dict[str, Any]) -> None:
        """Log the student that the run made, and register it if a name is given."""
        if STUDENT not in pipeline.all_outputs() or STUDENT not in catalog:
            return
        from mlic.tracking.models import log_model, register_model

        student, (file,) = catalog[STUDENT].load(), entry_files([catalog[STUDENT]])
        scores = run_metrics(summary.get("calibrated", {}).get("student", {}))
        # mAP is left out where no label defines it
        student_scores = summary.get("student", {})
        scores |= {name: student_scores[name] for name in {"mAP"} & student_scores.keys()}
        model_id = log_model(
            runs.parent_id(), student, file, scores, catalog["label_counts"].load()
        )
        registry = self._parameters().registry
        if model_id and registry.name:
            register_model(model_id, student, registry.name, registry.alias)

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Close the run as failed."""
        self._close("FAILED")

    def _close(self, status: str) -> None:
        atexit.unregister(self._close)
        runs.close_parent(status)
        self._is_open = False


def _trains(pipeline: Pipeline) -> bool:
    return any("training" in node.tags for node in pipeline.nodes)

"""Files that a run has written: the report, the summary, figures and tables."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from mlic.hooks.console import show_results

Catalog = CatalogProtocol[str, Any]

__all__ = ["ClosingTable", "entry_files", "load_summary", "result_files", "short_path"]


class ClosingTable:
    """Shows the results at the end of a run."""

    # Last, so that messages of other hooks do not push the table out of sight.
    @hook_impl(trylast=True)
    def after_pipeline_run(self, pipeline: Pipeline, catalog: Catalog) -> None:
        """Show the closing table, if the run wrote a summary."""
        if summary := load_summary(pipeline, catalog):
            show_results(summary, [short_path(path) for path in result_files(pipeline, catalog)])


def load_summary(pipeline: Pipeline, catalog: Catalog) -> dict[str, Any]:
    """Load the summary that a run wrote; empty if it wrote none."""
    return catalog["summary"].load() if _is_written("summary", pipeline, catalog) else {}


def result_files(pipeline: Pipeline, catalog: Catalog) -> list[Path]:
    """Return the files of the report and the summary, if the run wrote them."""
    names = ("report", "summary")
    return entry_files(catalog[name] for name in names if _is_written(name, pipeline, catalog))


def short_path(path: Path) -> str:
    """Return a path relative to the working directory, if it is inside it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _is_written(name: str, pipeline: Pipeline, catalog: Catalog) -> bool:
    return name in pipeline.all_outputs() and name in catalog


def entry_files(entries: Iterable[Any]) -> list[Path]:
    """Return the files of catalog entries; data in memory have none."""
    # Kedro has no public attribute for the file of an entry.
    paths = [getattr(entry, "_filepath", None) for entry in entries]
    return [Path(path) for path in paths if path is not None]

"""One node after the other; those that are up to date are skipped."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from kedro.runner import SequentialRunner as KedroSequentialRunner
from kedro.runner.task import Task

from mlic.runners.node_cache import NodeCache
from mlic.runners.skip_unchanged import SkipUnchanged

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node
    from pluggy import PluginManager

__all__ = ["SequentialRunner"]

logger = logging.getLogger(__name__)


class SequentialRunner(SkipUnchanged, KedroSequentialRunner):  # type: ignore[misc]
    """Kedro's sequential runner that skips nodes that are up to date; default of `kedro run`."""

    def __str__(self) -> str:
        # Kedro-Viz shows durations and states only of runs whose runner has this name in its text.
        return f"<{__name__}: a kedro.runner.sequential_runner.SequentialRunner object>"

    def _run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol[str, Any],
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
    ) -> None:
        # The loop of Kedro's runner, which cannot leave out a node once it has started.
        nodes = NodeCache(catalog)
        uses = Counter(name for node in pipeline.nodes for name in node.inputs)
        done: list[Node] = []
        for node in pipeline.nodes:
            if self._has_to_run(node, nodes):
                task = Task(node, catalog, self._is_async, hook_manager, run_id)
                try:
                    with nodes.record(node):
                        task.execute()
                except Exception:
                    self._suggest_resume_scenario(pipeline, done, catalog)
                    raise
            done.append(node)
            logger.info("Completed %d of %d: %s", len(done), len(pipeline.nodes), node.name)
            self._release_datasets(node, catalog, uses, pipeline)

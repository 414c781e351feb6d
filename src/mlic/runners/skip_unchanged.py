"""What both runners share: they skip nodes that are up to date, and say so."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from kedro.runner import AbstractRunner

from mlic.runners.node_cache import NEW, NodeCache, filter_stale_nodes, take_stale_nodes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node
    from pluggy import PluginManager

__all__ = ["SkipUnchanged"]

logger = logging.getLogger(__name__)


class SkipUnchanged(AbstractRunner):  # type: ignore[misc]
    """A runner that removes the nodes that are up to date from the pipeline before it starts."""

    def run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol[str, Any],
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
        only_missing_outputs: bool = False,
    ) -> dict[str, Any]:
        """Run the nodes that are not up to date; arguments and result are those of Kedro."""
        stale = take_stale_nodes(run_id)  # a hook may have asked already
        if stale is None:
            stale = filter_stale_nodes(pipeline, catalog)
        num_skipped = len(pipeline.nodes) - len(stale.nodes)
        if num_skipped and stale.nodes:
            logger.info("%d of %d nodes are up to date", num_skipped, len(pipeline.nodes))
        if hook_manager is not None:
            names = {node.name for node in stale.nodes}
            _show_skipped([node for node in pipeline.nodes if node.name not in names], hook_manager)
        options = hook_manager, run_id, only_missing_outputs
        outputs: dict[str, Any] = super().run(stale, catalog, *options)
        return outputs

    def _has_to_run(self, node: Node, nodes: NodeCache) -> bool:
        """Check again just before a node runs: its inputs may have been made again equal."""
        reason = nodes.why_stale(node)
        if reason is None:
            logger.info("%s is up to date after all", node.name)
        elif reason != NEW:
            logger.info("%s runs again: %s", node.name, reason)
        return reason is not None

    def _suggest_resume_scenario(
        self, pipeline: Pipeline, done_nodes: Iterable[Node], catalog: CatalogProtocol[str, Any]
    ) -> None:
        # Kedro suggests a command with --from-nodes; here the same command is enough.
        logger.warning(
            "%d of %d nodes have run; the same command continues from there",
            len(list(done_nodes)),
            len(pipeline.nodes),
        )


def _show_skipped(nodes: Iterable[Node], hook_manager: PluginManager) -> None:
    """Report skipped nodes to Kedro-Viz, which takes a run without any node for no run at all."""
    for plugin in hook_manager.get_plugins():
        # Other plug-ins must not take them for nodes that have run.
        if type(plugin).__module__.startswith("kedro_viz.") and hasattr(plugin, "after_node_run"):
            for node in nodes:
                plugin.after_node_run(node=node)

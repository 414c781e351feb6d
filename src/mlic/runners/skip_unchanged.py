"""What both runners share: they leave out what is up to date, and say so."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from kedro.runner import AbstractRunner

from mlic.runners.node_cache import NEW, NodeCache, filter_stale_nodes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node
    from pluggy import PluginManager

__all__ = ["SkipUnchanged"]

logger = logging.getLogger(__name__)


class SkipUnchanged(AbstractRunner):  # type: ignore[misc]
    """A runner whose pipeline is cut down to what is not up to date before it begins."""

    def run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol[str, Any],
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
        only_missing_outputs: bool = False,
    ) -> dict[str, Any]:
        """Run what is not up to date.

        Parameters
        ----------
        pipeline, catalog, hook_manager, run_id, only_missing_outputs
            As Kedro's runners take them.

        Returns
        -------
        dict
            Datasets of the outputs that were made.
        """
        stale = filter_stale_nodes(pipeline, catalog)
        left_out = len(pipeline.nodes) - len(stale.nodes)
        if left_out and stale.nodes:
            logger.info("%d of %d nodes are up to date", left_out, len(pipeline.nodes))
        outputs: dict[str, Any] = super().run(
            stale, catalog, hook_manager, run_id, only_missing_outputs
        )
        return outputs

    def _has_to_run(self, node: Node, ledger: NodeCache) -> bool:
        """Look again, for what was stale before the run may have been made equal in it."""
        reason = ledger.reason(node)
        if reason is None:
            logger.info("%s is up to date after all", node.name)
        elif reason != NEW:
            logger.info("%s runs again: %s", node.name, reason)
        return reason is not None

    def _suggest_resume_scenario(
        self,
        pipeline: Pipeline,
        done_nodes: Iterable[Node],
        catalog: CatalogProtocol[str, Any],
    ) -> None:
        logger.warning(
            "%d of %d nodes have run; the same command goes on from there",
            len(list(done_nodes)),
            len(pipeline.nodes),
        )

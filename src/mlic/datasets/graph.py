"""Label graphs in JSON, with a preview."""

from __future__ import annotations

from typing import Any

from kedro_datasets._typing import TablePreview
from kedro_datasets.networkx import JSONDataset

from mlic.datasets.base import wrap_errors

__all__ = ["GraphDataset"]


class GraphDataset(JSONDataset):  # type: ignore[misc]
    """Kedro's dataset of a networkx graph in JSON; Kedro-Viz shows its strongest edges."""

    def load(self) -> Any:
        """Read the graph; a missing or damaged file raises `DatasetDataError`."""
        with wrap_errors(str(self._filepath)):
            return super().load()

    def preview(self, nrows: int = 20) -> TablePreview:
        """Return the edges with the largest weights."""
        graph = self.load()
        edges = sorted(graph.edges(data="weight", default=1), key=lambda edge: -edge[2])[:nrows]
        rows = [[str(first), str(second), round(weight, 4)] for first, second, weight in edges]
        columns = ["label", "label", "weight"]
        table: Any = {"index": list(range(len(rows))), "columns": columns, "data": rows}
        return table  # type: ignore[no-any-return]

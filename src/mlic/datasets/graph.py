"""Label graphs in JSON, with a preview."""

from __future__ import annotations

from typing import Any

from kedro_datasets._typing import TablePreview
from kedro_datasets.networkx import JSONDataset

__all__ = ["GraphDataset"]


class GraphDataset(JSONDataset):  # type: ignore[misc]
    """Kedro's dataset of a networkx graph in JSON; Kedro-Viz shows its strongest edges."""

    def preview(self, nrows: int = 20) -> TablePreview:
        """Return the edges with the largest weights."""
        graph = self.load()
        edges = sorted(graph.edges(data="weight", default=1), key=lambda edge: -edge[2])[:nrows]
        rows = [[str(first), str(second), round(weight, 4)] for first, second, weight in edges]
        columns = ["label", "label", "weight"]
        table: Any = {"index": list(range(len(rows))), "columns": columns, "data": rows}
        return table  # type: ignore[no-any-return]

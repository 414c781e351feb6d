"""Tables for people and for nodes, as CSV files whose cells come back as they were."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Any

from mlic.caching.atomic import atomic_write
from mlic.datasets.base import DatasetDataError, FileDataset, wrap_errors
from mlic.utils.spreadsheets import neutralise, restore

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from kedro_datasets._typing import TablePreview
    from numpy.typing import NDArray

__all__ = ["TableDataset"]

_WHOLE = re.compile(r"-?\d{1,18}")


class TableDataset(FileDataset):
    """A CSV file of a `pandas.DataFrame`: texts exactly as they were, all else numbers.

    Texts such as ``007``, ``NA`` or an empty one stay texts. One that a spreadsheet would run as a
    formula has an apostrophe in front in the file, and none when it is read.

    Parameters
    ----------
    filepath
        The file, which is replaced in one step.
    text
        Names of the columns that contain texts.
    float_format
        How numbers with a fraction are written, such as ``"%.2f"``; by default exactly.
    metadata
        Metadata for plugins such as Kedro-Viz, not used by mlic.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> dataset = TableDataset(f"{tempfile.mkdtemp()}/table.csv", text=["id"])
    >>> dataset.save(pd.DataFrame({"id": ["007", "=1+1", ""], "score": [0.5, None, 2]}))
    >>> dataset.load()["id"].tolist(), dataset.load()["score"].tolist()
    (['007', '=1+1', ''], [0.5, nan, 2.0])
    """

    def __init__(
        self,
        filepath: str,
        text: Sequence[str] = (),
        float_format: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(filepath, metadata)
        self._text, self._float_format = tuple(text), float_format

    def load(self) -> pd.DataFrame:
        """Read the table."""
        return self._read(None)

    def _read(self, nrows: int | None) -> pd.DataFrame:
        import pandas as pd

        with wrap_errors(self._filepath):
            table: pd.DataFrame = pd.read_csv(
                self._filepath, dtype=str, na_filter=False, nrows=nrows, encoding="utf-8"
            )
            for name in table.columns:
                cells = table[name].tolist()
                table[name] = (
                    pd.Series(map(restore, cells), dtype=table[name].dtype)
                    if name in self._text
                    else _to_numbers(cells)
                )
            return table

    def save(self, data: pd.DataFrame) -> None:
        """Write the table."""
        table = data.copy()
        for name in table.columns:
            if name in self._text:
                table[name] = [neutralise(str(cell)) for cell in table[name]]
            elif len(table) and table[name].dtype.kind not in "iuf":
                raise DatasetDataError(
                    f"{self._filepath}: the column '{name}' contains texts: name it under 'text' "
                    "in the catalog's entry",
                    path=self._filepath,
                    name=name,
                )
        with (
            wrap_errors(self._filepath),
            atomic_write(self._filepath) as partial,
            # Opened here, because pandas would translate line breaks inside cells.
            partial.open("w", encoding="utf-8", newline="") as file,
        ):
            # The csv module quotes a line break of its own, but no carriage return.
            texts = (cell for name in self._text if name in table for cell in table[name])
            quoted = any("\r" in cell for cell in texts)
            table.to_csv(
                file,
                index=False,
                float_format=self._float_format,
                quoting=csv.QUOTE_NONNUMERIC if quoted else csv.QUOTE_MINIMAL,
            )

    def preview(self, nrows: int = 5) -> TablePreview:
        """Return the first rows, for Kedro-Viz."""
        preview: Any = self._read(nrows).to_dict(orient="split")
        return preview  # type: ignore[no-any-return]


def _to_numbers(cells: list[str]) -> NDArray[Any]:
    """Convert to whole numbers, or to float64, where an empty cell is NaN."""
    import numpy as np

    if all(_WHOLE.fullmatch(cell) for cell in cells):
        return np.asarray([int(cell) for cell in cells], dtype=np.int64)
    return np.asarray([float(cell or "nan") for cell in cells], dtype=np.float64)

"""Files that a list names: an entry of the catalog names the list, and the list the files."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from mlic.caching.atomic import atomic_write
from mlic.errors import MlicError

__all__ = ["ListedFiles"]


class ListedFiles:
    """Reads lists, and remembers what they name while their size and time of change stay the same.

    Reading takes the libraries of tables, which load longer than a run with nothing to do may take.

    Parameters
    ----------
    memo
        JSON file of what is remembered.
    """

    def __init__(self, memo: Path) -> None:
        self._memo = memo

    @cached_property
    def _known(self) -> dict[str, list[Any]]:
        try:
            return dict(json.loads(self._memo.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # absent or damaged: then all are read again
            return {}

    def read(self, file: Path, columns: tuple[str, ...]) -> list[str]:
        """Names in the first of these columns that a list has, in order; none if it has none."""
        try:
            status = file.stat()
        except OSError:
            return []
        state = [status.st_size, status.st_mtime_ns, list(columns)]
        known = self._known.get(str(file))
        if known is None or known[:-1] != state:
            known = [*state, _read_names(file, columns)]
            self._known[str(file)] = known
            with atomic_write(self._memo) as partial:
                partial.write_text(json.dumps(self._known), encoding="utf-8")
        return list(known[-1])


def _read_names(file: Path, columns: tuple[str, ...]) -> list[str]:
    from mlic.datasets.base import wrap_errors
    from mlic.datasets.manifest.csv import read_csv

    try:
        with wrap_errors(file):
            if file.suffix.lower() == ".csv":
                table = read_csv(file)
                column = next((name for name in columns if name in table), None)
                return [] if column is None else table[column].tolist()
            import pyarrow.parquet as pq

            schema = pq.read_schema(file)
            # a column of bytes contains the images themselves
            column = next((name for name in columns if name in schema.names), None)
            if column is None or "binary" in str(schema.field(column).type):
                return []
            return [str(name) for name in pq.read_table(file, columns=[column])[column].to_pylist()]
    except MlicError:
        return []  # the node that reads the list says what is wrong with it

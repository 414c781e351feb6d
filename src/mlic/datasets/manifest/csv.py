"""A CSV file as people write one: by hand, from a spreadsheet, on Windows."""

from __future__ import annotations

import csv
from itertools import islice
from typing import TYPE_CHECKING

from mlic.datasets.base import DatasetDataError

if TYPE_CHECKING:
    from _csv import Reader
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd

__all__ = ["read_csv"]


def read_csv(path: Path, nrows: int | None = None) -> pd.DataFrame:
    r"""Every cell as the text it is: ids keep their zeros, nothing turns into NaN.

    Spaces round a cell, a byte-order mark, empty rows and columns without a name are left out; a
    row that ends early goes on with empty cells.

    Parameters
    ----------
    path
        The file, in UTF-8, its first line a header.
    nrows
        Rows to read; None: all.

    Raises
    ------
    DatasetDataError
        If the file is empty, no CSV file or no text, a column's name stands twice, or a row has
        more cells than the header.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> file = Path(tempfile.mkdtemp(), "images.csv")
    >>> _ = file.write_text("path , labels\r\n007.jpg, cat\r\n\r\n", newline="")
    >>> read_csv(file).to_dict("list")
    {'path': ['007.jpg'], 'labels': ['cat']}
    """
    import pandas as pd

    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, skipinitialspace=True, strict=True)
        try:
            header = _header(path, next(reader, []))
            rows = list(islice(_rows(path, reader, len(header)), nrows))
        except csv.Error as error:
            raise DatasetDataError(
                f"{path}, line {reader.line_num}: {error}: look for a single quotation mark"
            ) from error
        except UnicodeDecodeError as error:
            raise DatasetDataError(
                f"{path} is no text in UTF-8 ({error.reason}): save it as 'CSV UTF-8'"
            ) from error
    frame = pd.DataFrame(rows, columns=range(len(header)), dtype=str)
    named = [i for i, name in enumerate(header) if name]
    return frame[named].set_axis([header[i] for i in named], axis=1)


def _header(path: Path, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    if not any(names):
        raise DatasetDataError(f"{path} is empty: give a header and one row for each image")
    for name in filter(None, names):
        if names.count(name) > 1:
            raise DatasetDataError(f"{path} has two columns '{name}': rename one or take it out")
    return names


def _rows(path: Path, reader: Reader, width: int) -> Iterator[list[str]]:
    for cells in reader:
        row = [cell.strip() for cell in cells]
        if any(row[width:]):
            raise DatasetDataError(
                f"{path}, line {reader.line_num}: {len(row)} cells for {width} columns: put a "
                'cell that holds commas in quotation marks, as in "hot dog, plain"'
            )
        if any(row):
            yield (row + [""] * (width - len(row)))[:width]

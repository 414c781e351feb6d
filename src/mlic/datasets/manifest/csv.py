"""CSV files as people write them: by hand, exported from a spreadsheet, on any system."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

from mlic.datasets.base import DatasetDataError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

__all__ = ["read_csv"]

# Spreadsheets write semicolons where the comma is the decimal mark. Listed by preference: a header
# that contains two of them equally often is separated by the first.
SEPARATORS = ",;\t|"
# Rows may end in this many empty cells more than the header; longer ones are refused by pandas.
SURPLUS = 4


def read_csv(path: Path, nrows: int | None = None) -> pd.DataFrame:
    r"""Read every cell as text: ids keep their leading zeros, and ``NA`` is a label like any other.

    The file is UTF-8, with or without a byte-order mark, or UTF-16 with one. Its columns are
    separated by the mark among comma, semicolon, tabulator and ``|`` that its header contains most
    often. Spaces around cells, empty rows and columns without a name are left out; a row that ends
    early is completed with empty cells. Lines after the first ``nrows`` are not read.

    Raises
    ------
    DatasetDataError
        If the file is empty or not text, a quotation mark is not closed, two columns have the same
        name, or a row has more cells than the header.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> file = Path(tempfile.mkdtemp(), "images.csv")
    >>> _ = file.write_text("path ; labels\r\n007.jpg; NA\r\n\r\n", newline="")
    >>> read_csv(file).to_dict("list")
    {'path': ['007.jpg'], 'labels': ['NA']}
    """
    try:
        encoding = _detect_encoding(path)
        with path.open(encoding=encoding) as file:
            header = file.readline()
        separator = max(SEPARATORS, key=header.count)
        cells = _read_cells(path, encoding, separator, header.count(separator) + 1, nrows)
    except UnicodeDecodeError as error:
        # Any bytes are valid Latin-1, so guessing it could change the names of labels silently.
        raise DatasetDataError(
            f"{path} is not text in UTF-8 ({error.reason}): save it as 'CSV UTF-8'", path=path
        ) from error
    names = _check_header(path, cells)
    # Row 0 is the header. Columns without a name are empty, or notes beside the table.
    rows = cells[(cells != "").any(axis=1)].iloc[1:].reset_index(drop=True)
    named = [column for column, name in enumerate(names) if name]
    return rows[named].set_axis([names[column] for column in named], axis=1)


def _detect_encoding(path: Path) -> str:
    """Return the encoding that the first bytes declare, UTF-8 by default."""
    with path.open("rb") as file:
        start = file.read(2)
    return "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _read_cells(
    path: Path, encoding: str, separator: str, width: int, nrows: int | None
) -> pd.DataFrame:
    """Read header and rows as a table of stripped texts with numbered columns."""
    import pandas as pd

    try:
        cells: pd.DataFrame = pd.read_csv(
            path,
            sep=separator,
            encoding=encoding,
            header=None,
            names=range(width + SURPLUS),
            index_col=False,  # otherwise rows that end in a separator shift by one column
            dtype=str,
            na_filter=False,
            skipinitialspace=True,
            skip_blank_lines=False,  # so that the number of a row is that of its line
            nrows=None if nrows is None else nrows + 1,
            engine="c",  # the other engine reads over a quotation mark that is not closed
        )
    except pd.errors.ParserError as error:
        if match := re.search(r"line (\d+), saw", str(error)):
            raise _long_row(path, int(match[1]), width) from error
        raise DatasetDataError(
            f"{path} cannot be split into cells ({error}): look for a quotation mark that is not "
            "closed",
            path=path,
        ) from error
    cells = cells.apply(lambda column: column.str.strip())
    # Surplus empty cells come from rows that end in separators, and mean nothing.
    too_long = (cells.iloc[:, width:] != "").any(axis=1)
    if too_long.any():
        raise _long_row(path, int(too_long.argmax()) + 1, width)
    return cells


def _check_header(path: Path, cells: pd.DataFrame) -> list[str]:
    """Return the column names, empty where a column has none."""
    names: list[str] = cells.head(1).to_numpy().ravel().tolist()
    if not any(names):
        raise DatasetDataError(
            f"{path} is empty: give a header and one row for each image", path=path
        )
    for name in filter(None, names):
        if names.count(name) > 1:
            raise DatasetDataError(
                f"{path} has two columns '{name}': rename or remove one", path=path, name=name
            )
    return names


def _long_row(path: Path, line: int, width: int) -> DatasetDataError:
    return DatasetDataError(
        f"{path}, line {line}: more cells than the {width} columns of the header: enclose a cell "
        'that contains the separator in quotation marks, as in "hot dog, plain"',
        path=path,
        line=line,
        expected=width,
    )

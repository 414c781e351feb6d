"""Numbers as text, and tables of text for the templates."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Table", "digits_of", "number", "percent"]


@dataclass(frozen=True)
class Table:
    """A table of text, which the templates turn into HTML and escape.

    Parameters
    ----------
    caption
        Says what the rows are, and in which unit.
    columns
        Titles of the columns.
    rows
        Cells of each row; the first cell is the header of its row.
    text_columns
        Titles of the columns that contain text; all others contain numbers.
    folded
        Whether the table is hidden until the reader opens it.
    marked
        Index of the row to highlight, if any.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: Sequence[str] = ()
    folded: bool = False
    marked: int | None = None


def digits_of(num_images: int) -> int:
    """Decimals of a score in percent that so many test images justify.

    Examples
    --------
    >>> digits_of(12), digits_of(880), digits_of(40_504)
    (0, 1, 2)
    """
    # the standard error of a share is about 100 / (2 √n) percent
    return 0 if num_images < 100 else 1 if num_images < 10_000 else 2


def number(value: float | None, digits: int = 2, sign: str = "") -> str:
    """Format a number with a true minus sign; a missing number becomes a dash.

    Examples
    --------
    >>> number(-1234.5), number(0.004, sign="+"), number(float("nan"))
    ('−1,234.50', '+0.00', '–')
    """
    # JSON files have None where the results in memory have NaN.
    if value is None or math.isnan(value):
        return "–"
    # "z" avoids "-0.00" for values that round to zero.
    return f"{value:{sign}z,.{digits}f}".replace("-", "−")


def percent(value: float | None, digits: int = 2) -> str:
    """Format a number that is already in percent, with a percent sign that never wraps."""
    return f"{number(value, digits)}\N{NO-BREAK SPACE}%"

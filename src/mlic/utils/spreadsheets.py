"""Texts that a spreadsheet would run as a formula, made harmless and restored."""

from __future__ import annotations

import re

__all__ = ["neutralise", "restore"]

# An apostrophe in front makes such a cell a text; one more keeps cells apart that have some of
# their own.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NEUTRALISED = re.compile(r"'+[=+\-@\t\r]")


def neutralise(cell: str) -> str:
    """Put an apostrophe in front of a text that a spreadsheet would run as a formula.

    Examples
    --------
    >>> neutralise("=HYPERLINK(1)"), neutralise("a=b")
    ("'=HYPERLINK(1)", 'a=b')
    """
    return f"'{cell}" if _FORMULA.match(cell) else cell


def restore(cell: str) -> str:
    """Undo `neutralise`.

    Examples
    --------
    >>> restore(neutralise("'=1")), restore("'tis")
    ("'=1", "'tis")
    """
    return cell[1:] if _NEUTRALISED.match(cell) else cell

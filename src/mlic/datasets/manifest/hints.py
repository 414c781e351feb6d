"""Slips of the pen in a manifest: columns and labels that are almost what they should be."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["RESERVED", "column_slip", "label_slip", "mend_no_label"]

RESERVED = frozenset(
    {"image_id", "path", "image", "labels", "split", "source", "group", "width", "height"}
)
WEIGHTY = ("image_id", "split", "group")  # decide much, and would be left out without a word


def column_slip(columns: Sequence[str]) -> str | None:
    """Say what is wrong with the columns of a manifest, and the mend.

    Examples
    --------
    >>> column_slip(["Path", "labels"])
    "has no column 'path' or 'image': rename 'Path' to 'path'"
    """
    if not {"path", "image"}.intersection(columns):
        return f"has no column 'path' or 'image': {_missing_path(columns)}"
    for name in columns if "labels" in columns else ():
        meant = _meant(name)
        if meant in WEIGHTY and meant not in columns:
            return (
                f"has a column '{name}', which is not read: rename it to '{meant}', or to "
                "something less like it"
            )
    return None


def _meant(column: str) -> str | None:
    """The reserved name that a column's name is most like, if it is much like one."""
    close = get_close_matches(column.strip().lower(), sorted(RESERVED), n=1, cutoff=0.8)
    return close[0] if close else None


def _missing_path(columns: Sequence[str]) -> str:
    for column in columns:
        if _meant(column) in ("path", "image"):
            return f"rename '{column}' to '{_meant(column)}'"
    if len(columns) == 1 and (mark := next((m for m in ";\t|" if m in columns[0]), None)):
        return f"columns are separated by commas, not by {mark!r}: write the file anew"
    shown = ", ".join(f"'{column}'" for column in columns[:5])
    more = ", …" if len(columns) > 5 else ""
    return f"its first line, the header, reads {shown}{more}: name the column of paths 'path'"


def mend_no_label(column: str) -> str:
    """What to do about a column that was taken for a label."""
    if meant := _meant(column):
        return f"or name the column '{meant}', if it is that"
    return "or take the column out, if it is no label"


def label_slip(names: Sequence[str]) -> str | None:
    """Say which labels' names look like slips of the pen, and the mend.

    Examples
    --------
    >>> label_slip(["cat", "lamp?"])
    "the label 'lamp?' has its '?' behind it: write ?lamp"
    """
    alike = dict[str, str]()
    for name in names:
        if name.endswith("?"):
            bare = name.rstrip("? ")
            return f"the label '{name}' has its '?' behind it: write ?{bare}"
        twin = alike.setdefault(" ".join(name.casefold().split()), name)
        if twin != name:
            return (
                f"the labels '{twin}' and '{name}' differ in capitals or spaces only: "
                "write them alike"
            )
    return None

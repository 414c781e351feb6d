"""Hints for mistakes in a manifest: columns and labels whose names are almost right."""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from mlic.utils.names import look_alike

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["RESERVED", "check_columns", "check_delimiter", "check_names", "hint_for_column"]

RESERVED = frozenset(
    {"image_id", "path", "image", "labels", "split", "source", "group", "width", "height"}
)
# A misspelt one of these would be ignored without an error, and change the result.
IMPORTANT = ("image_id", "split", "group")
_LIST_MARKS = re.compile(r"^\[|\]$")


def check_columns(columns: Sequence[str]) -> str | None:
    """Describe what is wrong with the columns of a manifest, and how to fix it.

    Examples
    --------
    >>> check_columns(["Path", "labels"])
    "has no column 'path' or 'image': rename 'Path' to 'path'"
    """
    if not {"path", "image"}.intersection(columns):
        return f"has no column 'path' or 'image': {_missing_path(columns)}"
    for name in columns if "labels" in columns else ():
        similar = _similar_reserved(name)
        if similar in IMPORTANT and similar not in columns:
            return (
                f"has a column '{name}', which is not read: rename it to '{similar}', or to a "
                "less similar name"
            )
    return None


def _similar_reserved(column: str) -> str | None:
    """Return the reserved name that is most similar to a column's name, if one is."""
    # Stricter than the hints for parameters: most columns are labels, with names of their own.
    close = get_close_matches(column.strip().lower(), sorted(RESERVED), n=1, cutoff=0.8)
    return close[0] if close else None


def _missing_path(columns: Sequence[str]) -> str:
    for column in columns:
        if _similar_reserved(column) in ("path", "image"):
            return f"rename '{column}' to '{_similar_reserved(column)}'"
    shown = ", ".join(f"'{column}'" for column in columns[:5])
    more = ", …" if len(columns) > 5 else ""
    return f"the columns are {shown}{more}; name the column of paths 'path'"


def hint_for_column(column: str) -> str:
    """Suggest what to do about a column that was read as a label."""
    if similar := _similar_reserved(column):
        return f"or rename the column to '{similar}', if it contains them"
    return "or remove the column, if it is not a label"


def check_delimiter(texts: Sequence[str], delimiter: str) -> str | None:
    r"""Describe the mistake if only another mark than the delimiter separates labels.

    Examples
    --------
    >>> check_delimiter(["cat,dog", "cat"], ";")
    'labels are separated by \',\' and never by \';\': set label_delimiter: ","'
    """
    # A delimiter that occurs even once is probably right: names may contain other marks.
    if any(delimiter in text for text in texts):
        return None
    mark = next((mark for mark in ";,|\t" if any(mark in text for text in texts)), None)
    return mark and (
        f"labels are separated by {mark!r} and never by {delimiter!r}: set "
        f"label_delimiter: {json.dumps(mark)}"
    )


def check_names(names: Sequence[str]) -> str | None:
    """Describe which names of labels are probably typing errors, and how to fix them.

    Examples
    --------
    >>> check_names(["cat", "lamp?"])
    "the label 'lamp?' has its '?' at the end: write ?lamp"
    """
    seen = dict[str, str]()
    for name in names:
        if name.endswith("?"):
            bare = name.rstrip("? ")
            return f"the label '{name}' has its '?' at the end: write ?{bare}"
        if _LIST_MARKS.search(name):
            return (
                f"the label {name!r} seems to be a part of a list: write cat;dog, or "
                "['cat', 'dog'] with every name in quotation marks"
            )
        twin = seen.setdefault(look_alike(name), name)
        if twin != name:
            return (
                f"the labels {twin!a} and {name!a} look the same, but are written with different "
                "characters, capitals or spaces: use one spelling"
            )
    return None

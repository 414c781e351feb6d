"""Comparison of names as a reader sees them."""

from __future__ import annotations

from unicodedata import category, normalize

__all__ = ["look_alike"]


def look_alike(name: str) -> str:
    r"""Return what a name has in common with all names that look the same.

    Capitals, blanks, compatibility forms (such as ``ﬁ`` and ``fi``), the encoding of accents, and
    characters that are not shown do not count.

    Examples
    --------
    >>> look_alike("For\u00eat") == look_alike("fore\u0302t ") == look_alike("for\u200bêt")
    True
    """
    shown = "".join(mark for mark in name if category(mark) != "Cf")
    # Once more after the case: a folded letter may have another form.
    folded = normalize("NFKC", normalize("NFKC", shown).casefold())
    return " ".join(folded.split())

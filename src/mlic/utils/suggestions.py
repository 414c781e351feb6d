"""Hints for misspelt names."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["closest", "did_you_mean"]


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most similar to another name, if one is similar enough.

    Examples
    --------
    >>> closest("asymetric", ["asymmetric", "binary_cross_entropy"])
    'asymmetric'
    """
    # A name that is known itself is not misspelt: the mistake is another one.
    matches = get_close_matches(name, list(known), n=1)
    return matches[0] if matches and matches[0] != name else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Phrase a hint to be put into an error message; empty if no known name is similar.

    Examples
    --------
    >>> did_you_mean("asymetric", ["asymmetric"])
    "did you mean 'asymmetric'? "
    >>> did_you_mean("x", ["asymmetric"])
    ''
    """
    match = closest(name, known)
    return f"did you mean '{match}'? " if match else ""

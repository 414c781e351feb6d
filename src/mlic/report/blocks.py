"""What a page is made of: sections of tables, figures, images and notes, and numbers as text.

A block is told plainly and knows no markup; the template of its kind sets it out, and escapes it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

__all__ = ["Block", "Cards", "Figure", "Maps", "Note", "Section", "Table", "number", "percent"]


@dataclass(frozen=True)
class Note:
    """A paragraph in small print."""

    kind: ClassVar[str] = "note"
    text: str


@dataclass(frozen=True)
class Table:
    """Rows of text under column names; the first cell heads its row."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[str] = ()  # columns of text rather than of figures
    folded: bool = False  # shown when it is asked for
    marked: int | None = None  # the row that stands out


@dataclass(frozen=True)
class Figure:
    """A plotly figure with what it shows in words, for those who cannot see it."""

    kind: ClassVar[str] = "figure"
    figure: Any
    told: str
    half: bool = False  # two of them stand side by side


@dataclass(frozen=True)
class Cards:
    """Images with what was said of them."""

    kind: ClassVar[str] = "cards"
    cards: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Maps:
    """Rows of images with class maps laid over them."""

    kind: ClassVar[str] = "maps"
    rows: Sequence[Mapping[str, Any]]


Block = Note | Table | Figure | Cards | Maps


@dataclass(frozen=True)
class Section:
    """Blocks under a heading, whose short name is its anchor."""

    anchor: str
    title: str
    blocks: Sequence[Block] = field(default_factory=list)


def number(value: float | None, digits: int = 2, sign: str = "") -> str:
    """Text of a figure, with a true minus; a dash where there is none.

    Examples
    --------
    >>> number(-1234.5), number(0.004, sign="+"), number(float("nan"))
    ('−1,234.50', '+0.00', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    return f"{value:{sign}z,.{digits}f}".replace("-", "−")


def percent(value: float | None, digits: int = 2) -> str:
    """Text of a figure that is in percent, its sign kept on the same line."""
    return f"{number(value, digits)}\N{NO-BREAK SPACE}%"

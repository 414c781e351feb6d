"""Objects of the synthetic scenes: shapes in integer arithmetic, and the pixels they cover."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOB", "STROKE", "TURN", "Glyph", "Ints", "label_glyphs", "rasterise"]

Ints = NDArray[np.integer]


@dataclass(frozen=True)
class _Disc:
    """An axis-parallel ellipse in glyph units; a glyph spans −100 … 100."""

    x: int
    y: int
    rx: int
    ry: int
    cut: bool = False

    def covers(self, u: Ints, v: Ints) -> NDArray[np.bool_]:
        """Return which of the points (u, v), in glyph units, are inside."""
        across, down = (u - self.x) * self.ry, (v - self.y) * self.rx
        return across * across + down * down <= (self.rx * self.ry) ** 2


@dataclass(frozen=True)
class _Slab:
    """An upright trapezium, symmetric about x, with its half widths at top and bottom."""

    x: int
    top: int
    half_top: int
    bottom: int
    half_bottom: int
    cut: bool = False

    def covers(self, u: Ints, v: Ints) -> NDArray[np.bool_]:
        """Return which of the points (u, v), in glyph units, are inside."""
        below, above = v - self.top, self.bottom - v
        reach = self.half_top * above + self.half_bottom * below
        return (below >= 0) & (above >= 0) & (abs(u - self.x) * (below + above) <= reach)


Glyph = tuple[_Disc | _Slab, ...]


def _bar(left: int, top: int, right: int, bottom: int, cut: bool = False) -> _Slab:
    half = (right - left) // 2
    return _Slab(left + half, top, half, bottom, half, cut)


# fmt: off
# Kitchen, street and garden: four objects each, the rarest last.
_THINGS: dict[str, Glyph] = {
    "plate": (_Disc(0, 0, 95, 95), _Disc(0, 0, 72, 72, cut=True), _Disc(0, 0, 50, 50)),
    "fork": (
        _bar(-52, -100, -36, -20), _bar(-23, -100, -7, -20), _bar(7, -100, 23, -20),
        _bar(36, -100, 52, -20), _bar(-52, -34, 52, -8), _bar(-11, -8, 11, 100),
    ),
    "knife": (_Slab(0, -100, 4, -20, 24), _bar(-24, -20, 24, 14), _bar(-12, 14, 12, 100)),
    "cup": (_Disc(48, 0, 50, 48), _Disc(48, 0, 28, 26, cut=True), _Slab(-18, -74, 64, 78, 50)),
    "car": (
        _Slab(0, -58, 36, -8, 60), _bar(-98, -12, 98, 36),
        _Disc(-54, 38, 26, 26), _Disc(54, 38, 26, 26),
    ),
    "sign": (_Slab(0, -100, 4, -5, 74), _bar(-11, -5, 11, 100)),
    "lamp": (_Disc(0, -70, 34, 30), _bar(-11, -50, 11, 100), _bar(-40, 80, 40, 100)),
    "wheel": (
        _Disc(0, 0, 95, 95), _Disc(0, 0, 70, 70, cut=True), _Disc(0, 0, 24, 24),
        _bar(-10, -80, 10, 80), _bar(-80, -10, 80, 10),
    ),
    "fence": (
        *(_Slab(x, -80, 2, -52, 14) for x in (-70, -24, 24, 70)),
        *(_bar(x - 14, -52, x + 14, 80) for x in (-70, -24, 24, 70)),
        _bar(-96, -22, 96, -2), _bar(-96, 34, 96, 54),
    ),
    "bird": (
        _Disc(0, 12, 70, 38), _Disc(58, -28, 28, 28),
        _Slab(-74, -30, 24, 14, 8), _Slab(-6, -92, 6, 0, 34),
    ),
    "tree": (_Slab(0, -100, 4, -20, 56), _Slab(0, -46, 20, 45, 78), _bar(-15, 45, 15, 100)),
    "flower": (
        _Disc(0, -55, 40, 40), _Disc(52, -17, 40, 40), _Disc(32, 45, 40, 40),
        _Disc(-32, 45, 40, 40), _Disc(-52, -17, 40, 40), _Disc(0, 0, 26, 26, cut=True),
    ),
}

# For any other number of communities: one body for each member, one mark for each community.
_BODIES: tuple[Glyph, ...] = (
    (_Disc(0, 0, 92, 92),),
    (_bar(-76, -76, 76, 76),),
    (_Slab(0, -98, 2, 80, 92),),
    (_bar(-34, -96, 34, 96), _bar(-96, -34, 96, 34)),
    (_Slab(0, -96, 84, 0, 40), _Slab(0, 0, 40, 96, 84)),
    (_Slab(0, -98, 2, 0, 76), _Slab(0, 0, 76, 98, 2)),
    (_Disc(0, 0, 98, 50),),
    (_bar(-26, -98, 26, 98),),
)
_MARKS: tuple[Glyph, ...] = (
    (),
    (_Disc(0, 0, 32, 32, cut=True),),
    (_bar(-100, -14, 100, 14, cut=True),),
    (_bar(-14, -100, 14, 100, cut=True),),
    (_bar(0, -100, 100, 100, cut=True),),
    (_bar(-100, 30, 100, 100, cut=True),),
    (_bar(-100, -100, 0, 0, cut=True),),
    (_Disc(0, -42, 24, 24, cut=True), _Disc(0, 42, 24, 24, cut=True)),
)
BLOB: Glyph = (_Disc(-20, 0, 75, 60), _Disc(45, 20, 50, 70))
STROKE: Glyph = (_bar(-12, -100, 12, 100),)
# fmt: on
TURN = 64  # directions in a full turn
# No value is near one half before rounding, so differences between machines cannot change them.
_SINE = [round(1024 * math.sin(2 * math.pi * k / TURN)) for k in range(TURN)]


def label_glyphs(communities: int, members: int) -> dict[str, Glyph]:
    """Return the name and shape of each label; up to 8 communities of up to 8 members each."""
    if (communities, members) == (3, 4):
        return _THINGS
    return {
        f"group{group + 1}_thing{member + 1}": _BODIES[member] + _MARKS[group]
        for group in range(communities)
        for member in range(members)
    }


def rasterise(glyph: Glyph, diameter: int, angle: int) -> Ints:
    """Count how many of four samples in each pixel a glyph covers; 0 … 4, shape (height, width).

    The result is cropped to the glyph. Its parts are given from the lowest to the topmost; a part
    with ``cut`` removes what is below. The diameter is in pixels, the angle in units of 1 / `TURN`
    of a full turn.
    """
    side = diameter * 10 // 7 + 1
    # Two samples per pixel and axis, by their distance from the centre in quarter pixels.
    quarter = 2 * np.arange(2 * side, dtype=np.int32) + 1 - 2 * side
    # Rotation in fixed-point arithmetic; the shift below converts back to glyph units.
    along = quarter * (_SINE[(angle + TURN // 4) % TURN] * 3200 // diameter)
    aside = quarter * (_SINE[angle % TURN] * 3200 // diameter)
    u, v = (along + aside[:, None]) >> 16, (along[:, None] - aside) >> 16
    inside = np.zeros(u.shape, dtype=np.bool_)
    for part in glyph:
        covered = part.covers(u, v)
        inside = inside & ~covered if part.cut else inside | covered
    pairs = inside[::2].view(np.int8) + inside[1::2].view(np.int8)
    coverage = pairs[:, ::2] + pairs[:, 1::2]
    rows, columns = np.flatnonzero(coverage.any(axis=1)), np.flatnonzero(coverage.any(axis=0))
    return coverage[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]

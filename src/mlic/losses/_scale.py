"""Scale of cosine logits, for the cosine heads and the losses that are trained with them."""

from __future__ import annotations

import math
from typing import Literal

__all__ = ["Scale", "require_scale", "scale_for"]

Scale = float | Literal["auto"]
_LOWEST, _HIGHEST = 7.0, 30.0


def scale_for(scale: Scale, num_labels: int) -> float:
    """Return a scale, or the one for so many labels: √5 · ln(K − 1), between 7 and 30.

    Examples
    --------
    >>> [round(scale_for("auto", number), 2) for number in (1, 20, 80, 500)], scale_for(23.0, 80)
    ([7.0, 7.0, 9.77, 13.89], 23.0)
    """
    if scale != "auto":
        return float(scale)
    wanted = math.sqrt(5) * math.log(max(num_labels - 1, 1))
    return min(max(wanted, _LOWEST), _HIGHEST)


def require_scale(scale: Scale) -> None:
    """Raise a `ValueError` if a scale is neither "auto" nor a number above 0."""
    is_number = isinstance(scale, int | float) and not isinstance(scale, bool)
    if scale != "auto" and not (is_number and 0 < float(scale) < math.inf):
        raise ValueError(f"scale={scale!r} must be a number above 0, or auto")

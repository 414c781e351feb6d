"""Annotations whose types are imported for type checkers only."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["hide_unimported_types"]


def hide_unimported_types(function: Callable[..., Any]) -> None:
    """Replace annotations that name something not imported at run time by `typing.Any`.

    At start-up Kedro calls `typing.get_type_hints` on every node to find the models of the
    parameters. A single name that is imported only under ``if TYPE_CHECKING:`` makes this fail for
    the whole node; importing it would cost every command the seconds that torch takes.

    The function's module has ``from __future__ import annotations``. Annotations are changed in
    place.

    Examples
    --------
    >>> def count(images: Images, seed: int) -> Images | None: ...
    >>> hide_unimported_types(count)
    >>> count.__annotations__
    {'images': typing.Any, 'seed': 'int', 'return': typing.Any}
    """
    known = vars(sys.modules[function.__module__]).keys() | vars(builtins).keys()
    for name, annotation in function.__annotations__.items():
        # Compiling lists the names that an annotation uses without looking any of them up.
        if isinstance(annotation, str) and not (
            known >= {*compile(annotation, function.__module__, "eval").co_names}
        ):
            function.__annotations__[name] = Any

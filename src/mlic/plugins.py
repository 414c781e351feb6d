"""Heads, losses and distillers by name: one module each, found by the name of its file."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from difflib import get_close_matches
from inspect import signature
from typing import Any

from mlic.errors import ParameterError

__all__ = ["build_plugin", "plugin_names"]


def plugin_names(package: str) -> list[str]:
    """Names of the plug-ins of a package, found without importing any of them.

    Examples
    --------
    >>> "linear" in plugin_names("mlic.models.heads")
    True
    """
    path = importlib.import_module(package).__path__
    modules = pkgutil.iter_modules(path)
    return sorted(m.name for m in modules if not m.ispkg and not m.name.startswith("_"))


def build_plugin(package: str, name: str, options: Mapping[str, object], /, *args: object) -> Any:
    """Build the one public class of the module ``package.name``.

    Parameters
    ----------
    package
        Dotted name of the package that holds one plug-in a module.
    name
        Name of the module.
    options
        Keyword arguments that a person may set.
    *args
        Positional arguments that the caller provides.

    Raises
    ------
    ParameterError
        If there is no such plug-in, or it does not know an option.
    """
    known = plugin_names(package)
    kind = package.rpartition(".")[2].rstrip("s")
    if name not in known:
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise ParameterError(f"there is no {kind} '{name}': {hint}known are {', '.join(known)}")
    module = importlib.import_module(f"{package}.{name}")
    factory = getattr(module, module.__all__[0])
    try:
        signature(factory).bind(*args, **options)
    except TypeError as error:
        accepted = list(signature(factory).parameters)[len(args) :]
        raise ParameterError(
            f"{kind} '{name}': {error}; its options are {', '.join(accepted) or 'none'}"
        ) from error
    return factory(*args, **options)

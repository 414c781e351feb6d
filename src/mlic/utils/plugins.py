"""Heads, losses and distillers by name: one module each, found by the name of its file."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from difflib import get_close_matches
from inspect import signature
from typing import Any

from mlic.errors import ParameterError

__all__ = ["build_plugin", "find_plugin", "plugin_names", "refuse_unknown_plugin"]


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


def find_plugin(package: str, name: str) -> Any:
    """Give the one public class of the module ``package.name``.

    Raises
    ------
    ParameterError
        If there is no such plug-in.
    """
    try:
        refuse_unknown_plugin(package, name)
    except ValueError as error:
        raise ParameterError(f"{package}: {error}") from None
    module = importlib.import_module(f"{package}.{name}")
    return getattr(module, module.__all__[0])


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
        If there is no such plug-in, it does not know an option, or a value is out of range.
    """
    factory = find_plugin(package, name)
    try:
        return factory(*args, **options)
    except (TypeError, ValueError) as error:
        accepted = list(signature(factory).parameters)[len(args) :]
        raise ParameterError(
            f"{package}.{name}: {error}; its options are {', '.join(accepted) or 'none'}"
        ) from error


def refuse_unknown_plugin(package: str, name: str) -> None:
    """Refuse a name that no plug-in of a package has.

    Raises
    ------
    ValueError
        With a hint; pydantic's validators want this one.
    """
    known = plugin_names(package)
    if name not in known:
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise ValueError(f"unknown name '{name}'; {hint}known are {', '.join(known)}")

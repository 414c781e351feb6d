"""Plug-ins such as heads and losses: one module each, found by the name of the module."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from importlib.util import find_spec
from inspect import signature
from typing import Any

from mlic.errors import ParameterError
from mlic.utils.suggestions import did_you_mean

__all__ = ["build_plugin", "find_plugin", "list_plugins", "refuse_unknown_plugin"]

_BASE = "base"  # the module of the base class, which is no plug-in


def list_plugins(package: str) -> list[str]:
    """List the plug-ins of a package, without importing the package or any of them.

    Examples
    --------
    >>> "linear" in list_plugins("mlic.models.heads")
    True
    """
    spec = find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise ParameterError(f"there is no package {package}", name=package)
    modules = pkgutil.iter_modules(spec.submodule_search_locations)
    names = (module.name for module in modules if not module.ispkg)
    return sorted(name for name in names if name != _BASE and not name.startswith("_"))


def find_plugin(package: str, name: str) -> Any:
    """Return the one public class of the module ``package.name``, or raise `ParameterError`."""
    try:
        refuse_unknown_plugin(package, name)
    except ValueError as error:
        raise ParameterError(f"{package}: {error}", name=name) from None
    # Helpers beside the class are private, so that the first public name is the class.
    module = importlib.import_module(f"{package}.{name}")
    return getattr(module, module.__all__[0])


def build_plugin(package: str, name: str, options: Mapping[str, object], /, *args: object) -> Any:
    """Build an object of the one public class of the module ``package.name``.

    Options are keyword arguments from the user's configuration, ``args`` positional arguments from
    the calling code. If there is no such plug-in, it does not know an option, or a value is out of
    range, `ParameterError` is raised.
    """
    factory = find_plugin(package, name)
    try:
        return factory(*args, **options)
    except (TypeError, ValueError) as error:
        accepted = list(signature(factory).parameters)[len(args) :]
        raise ParameterError(
            f"{package}.{name}: {error}; its options are {', '.join(accepted) or 'none'}",
            name=name,
            expected=accepted,
        ) from error


def refuse_unknown_plugin(package: str, name: str) -> None:
    """Raise a `ValueError` if a package has no plug-in of this name."""
    # No MlicError, because pydantic's validators expect a ValueError.
    known = list_plugins(package)
    if name not in known:
        raise ValueError(
            f"unknown name '{name}'; {did_you_mean(name, known)}known are {', '.join(known)}"
        )

"""Every parameter of a run with its value and where the value comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from mlic.config.parameters import check_parameters

if TYPE_CHECKING:
    from mlic.config.recipes import RecipeConfigLoader

__all__ = ["Resolved", "resolve"]

DEFAULT = "default"


class Resolved(NamedTuple):
    """A parameter as a run sees it."""

    key: str  # such as "training.epochs"
    value: Any
    source: str  # such as "conf/base", "--params" or "default"


def resolve(loader: RecipeConfigLoader) -> list[Resolved]:
    """List all parameters in the order of their sections; wrong ones are a `ParameterError`."""
    values = check_parameters(loader["parameters"]).model_dump(mode="json")
    sources = {
        key: place for place, tree in loader.layers().items() for key, _ in _leaves(tree)
    }  # a later layer replaces the source of an earlier one
    return [Resolved(key, value, _source(key, sources)) for key, value in _leaves(values)]


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + str(name), value


def _source(key: str, sources: Mapping[str, str]) -> str:
    # A file may write a whole section as one value, such as null or a short form.
    while key and key not in sources:
        key = key.rpartition(".")[0]
    return sources.get(key, DEFAULT)

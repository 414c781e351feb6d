"""Recipes: published sets of parameters by name, between conf/base and what a person says."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader
from omegaconf import OmegaConf

from mlic.errors import ParameterError

__all__ = ["RecipeConfigLoader", "overlay", "read_recipe"]


class RecipeConfigLoader(OmegaConfigLoader):  # type: ignore[misc]
    """Kedro's configuration, in which the parameter ``recipe`` names a file of ``conf/recipes``.

    A recipe is a file of parameters. The sections that it has replace those of ``conf/base``, as
    an environment's do, and single keys of them can still be set: by the environment that names
    the recipe, and by ``--params``. A recipe that ``--params`` names goes before the environment.
    """

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Configuration of one kind, such as ``parameters``, merged.

        Parameters are read once: Kedro and more than one hook ask for them in every run.

        Raises
        ------
        ParameterError
            If there is no recipe of the name that is asked for.
        """
        if key == "parameters" and key not in self:
            self[key] = self._read_parameters()
        found: dict[str, Any] = super().__getitem__(key)
        return copy.deepcopy(found)  # whoever changes it changes their own

    def _read_parameters(self) -> dict[str, Any]:
        merged: dict[str, Any] = super().__getitem__("parameters")
        name = merged.get("recipe")
        if name is None:
            return merged
        own = self._without_base()
        recipe = read_recipe(Path(self.conf_source) / "recipes", str(name))
        sections = {
            section: overlay(values, own.get(section) or {}) for section, values in recipe.items()
        }
        return {**merged, **sections}

    def _without_base(self) -> dict[str, Any]:
        """What goes before a recipe: ``--params``, and the environment if it names the recipe."""
        said: dict[str, Any] = dict(self.runtime_params or {})
        if "recipe" in said:
            return said
        loader = copy.copy(self)
        loader.base_env = self.env or self.default_run_env
        return overlay(OmegaConfigLoader.__getitem__(loader, "parameters"), said)


def read_recipe(folder: Path, name: str) -> dict[str, Any]:
    """Parameters of a recipe.

    Parameters
    ----------
    folder
        Where recipes lie, a YAML file each.
    name
        Name of the file, without its suffix.

    Raises
    ------
    ParameterError
        If there is no such recipe.
    """
    known = sorted(path.stem for path in folder.glob("*.yml"))
    if name not in known:
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise ParameterError(
            f"recipe: unknown name '{name}'; {hint}those in {folder} are {', '.join(known) or '-'}"
        )
    recipe = OmegaConf.to_container(OmegaConf.load(folder / f"{name}.yml"), resolve=True)
    assert isinstance(recipe, dict)
    return {str(section): values for section, values in recipe.items()}


def overlay(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Values of two trees of parameters, the second's where both have one.

    A choice with a ``name`` replaces the other as a whole, for its options go with its name.

    Examples
    --------
    >>> overlay({"loss": {"name": "a", "options": {"x": 1}}, "lr": 1}, {"loss": {"name": "b"}})
    {'loss': {'name': 'b'}, 'lr': 1}
    >>> overlay({"a": {"x": 1, "y": 1}}, {"a": {"y": 2}})
    {'a': {'x': 1, 'y': 2}}
    """
    merged = dict(under)
    for key, value in over.items():
        old = merged.get(key)
        trees = isinstance(old, Mapping) and isinstance(value, Mapping) and "name" not in value
        merged[key] = overlay(old, value) if trees else value  # type: ignore[arg-type]
    return merged

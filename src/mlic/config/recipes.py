"""Layers of parameters: ``conf/base``, a named recipe, the environment, ``--params``."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader
from omegaconf import OmegaConf

from mlic.errors import ParameterError
from mlic.utils.sqlite import file_of, is_sqlite, uri_of
from mlic.utils.suggestions import did_you_mean

__all__ = ["RecipeConfigLoader", "merge_layers", "read_recipe"]


_DATA = "data"  # first folder of paths in the catalog that data_folder replaces
_PATH_KEYS = ("filepath", "folder", "classes", "test_filepath", "names")  # of its entries
# Parameters that may name a file.
_PATHS = (
    *((key,) for key in ("folder", "test_manifest", "images", "trained_model", "known")),
    ("user_groups",),
    ("model", "weights"),
    ("model", "embeddings", "file"),
)


class RecipeConfigLoader(OmegaConfigLoader):  # type: ignore[misc]
    """Kedro's configuration loader, with parameters merged key by key and named recipes.

    The parameter ``recipe`` names a file of ``conf/recipes``, which is one more layer of
    parameters. From the lowest to the highest, the layers are ``conf/base``, the recipe, the
    environment and ``--params``. A recipe that is named by ``--params`` lies above the environment,
    because whoever asks for it on the command line wants its values there.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Kedro finds the files of a configuration by a pattern, which such a folder never matches.
        if {"[", "]"} & set(str(Path(self.conf_source).absolute())):
            raise ParameterError(
                f"the project lies in {self._project}: Kedro cannot "
                "read a configuration in a folder with [ or ] in its path; rename the folder",
                path=self.conf_source,
            )
        # ``model=<path>`` names a trained model, and ``model.<key>`` an option of the section. The
        # session shares this dict, so that it sees the change too.
        runtime = self.runtime_params or {}
        if isinstance(runtime.get("model"), str):
            runtime["trained_model"] = runtime.pop("model")

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return the merged configuration of one kind, such as ``parameters``."""
        # Resolvers belong to the process, and each session has an environment of its own.
        OmegaConf.register_new_resolver("environment", lambda: self.folder, replace=True)
        # Kedro and several hooks ask for the parameters in every run: read the files once.
        if key == "parameters" and key not in self:
            self[key] = self._merge_parameters()
        found: dict[str, Any] = super().__getitem__(key)
        if key == "catalog":
            return self._place_entries(found)
        return copy.deepcopy(found)  # callers may change what they are given

    def _place_entries(self, catalog: Mapping[str, Any]) -> dict[str, Any]:
        """Copy the entries with paths that do not depend on the working directory."""
        placed, project = copy.deepcopy(dict(catalog)), self._project
        data = Path(self["parameters"].get("data_folder", project / _DATA))
        for entry in (one for one in placed.values() if isinstance(one, dict)):
            # Kedro makes filepath absolute too, but knows no data_folder.
            for key in _PATH_KEYS:
                if isinstance(entry.get(key), str) and "://" not in entry[key]:
                    path = Path(entry[key])
                    moved = path.is_relative_to(_DATA)
                    path = data / path.relative_to(_DATA) if moved else project / path
                    entry[key] = path.as_posix()
            if "source" in entry:
                entry["source"] = self._from_project(entry["source"])
            address = str(entry.get("tracking_uri"))
            if is_sqlite(address):
                entry["tracking_uri"] = uri_of(project / file_of(address))
        return placed

    @property
    def folder(self) -> str:
        """Name of the folders of the environment's results; ``${environment:}`` in the catalog.

        It is the environment's name, or that of ``conf/base`` for a run without ``--env``.
        """
        named = self.env not in (None, self.default_run_env)
        return str(self.env if named else self.base_env)

    def layers(self) -> dict[str, dict[str, Any]]:
        """Return the trees of parameters by where they come from, the lowest first."""
        named = self.env or self.default_run_env
        base = {f"conf/{self.base_env}": self._read_environment(self.base_env)}
        environment = {} if named == self.base_env else {
            f"conf/{named}": self._read_environment(named)
        }  # fmt: skip
        # --params last: Kedro has written them over each file already
        runtime: dict[str, Any] = dict(self.runtime_params or {})  # None without --params
        merged = merge_layers(*base.values(), *environment.values(), runtime)
        recipe = {}
        if (name := merged.get("recipe")) is not None:
            found = read_recipe(Path(self.conf_source) / "recipes", str(name))
            recipe = {f"conf/recipes/{name}.yml": found}
        if "recipe" in runtime:
            return base | environment | recipe | {"--params": runtime}
        return base | recipe | environment | {"--params": runtime}

    def _merge_parameters(self) -> dict[str, Any]:
        merged = merge_layers(*self.layers().values())
        for keys in _PATHS:
            section = merged
            for key in keys[:-1]:
                inner = section.get(key)
                section = inner if isinstance(inner, dict) else {}
            if keys[-1] in section:
                section[keys[-1]] = self._from_project(section[keys[-1]])
        if "data_folder" in merged and "://" not in str(merged["data_folder"]):
            # not only if it exists: runs make it
            merged["data_folder"] = str(self._project / str(merged["data_folder"]))
        return merged

    @property
    def _project(self) -> Path:
        return Path(self.conf_source).absolute().parent

    def _from_project(self, value: Any) -> Any:
        """Return a path that starts at the project's folder, if there is such a file or folder."""
        # Names of other things, such as runs of MLflow or entries of the catalog, stay as they are.
        if not isinstance(value, str) or not value:
            return value
        path = self._project / value
        return str(path) if path.exists() else value

    def _read_environment(self, name: str) -> dict[str, Any]:
        """Read the parameters of one environment alone.

        Kedro's ``merge_strategy: {parameters: soft}`` merges base and environment key by key too,
        but leaves no place for a layer between the two.
        """
        loader = copy.copy(self)
        loader.data.pop(
            "parameters", None
        )  # Kedro would return all layers if they are merged already
        loader.base_env = loader.env = name
        # Kedro writes --params over each file, so that interpolations see them.
        found: dict[str, Any] = OmegaConfigLoader.__getitem__(loader, "parameters")
        return found


def read_recipe(folder: Path, name: str, extended_by: tuple[str, ...] = ()) -> dict[str, Any]:
    """Read the parameters of a recipe, including those of the recipe that it extends.

    A recipe is a YAML file in the folder. Its key ``extends`` names another recipe, whose values
    hold where the first has none. A recipe that does not exist, or that extends itself through the
    recipes in `extended_by`, is a `ParameterError`.
    """
    known = sorted(path.stem for path in folder.glob("*.yml"))
    if name not in known:
        raise ParameterError(
            f"recipe: unknown name '{name}'; {did_you_mean(name, known)}the recipes in {folder} "
            f"are {', '.join(known) or '-'}",
            parameter="recipe",
            value=name,
        )
    if name in extended_by:
        chain = " → ".join([*extended_by, name])
        raise ParameterError(
            f"recipe: '{name}' extends itself ({chain}): remove one 'extends' in {folder}",
            parameter="recipe",
            value=name,
        )
    recipe = OmegaConf.to_container(OmegaConf.load(folder / f"{name}.yml"), resolve=True)
    assert isinstance(recipe, dict)
    parameters: dict[str, Any] = {str(section): values for section, values in recipe.items()}
    parent = parameters.pop("extends", None)
    if parent is None:
        return parameters
    return merge_layers(read_recipe(folder, parent, (*extended_by, name)), parameters)


def merge_layers(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Merge trees of parameters key by key; where two have a value, the later one holds.

    Options belong to the plug-in that is named beside them. A layer that names a plug-in (a
    ``name``, or a ``backbone`` or ``head``) therefore also sets aside its options of the earlier
    layers (``options``, ``backbone_options``, ``head_options``).

    Examples
    --------
    >>> merge_layers({"a": {"x": 1, "y": 1}}, {"a": {"y": 2}})
    {'a': {'x': 1, 'y': 2}}
    >>> merge_layers({"loss": {"name": "a", "options": {"x": 1}}}, {"loss": {"name": "b"}})
    {'loss': {'name': 'b'}}
    >>> merge_layers({"backbone": "a", "backbone_options": {"x": 1}}, {"backbone": "b"})
    {'backbone': 'b'}
    """
    return reduce(_merge_two, layers, {})


def _merge_two(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    merged = OmegaConf.merge(_without_stale_options(lower, upper), upper)
    return dict(OmegaConf.to_container(merged))  # type: ignore[arg-type]


def _without_stale_options(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tree without the options of plug-ins that the tree above it names."""
    # Options of one loss or head would be unknown to another, and stop the run.
    kept = {}
    for key, value in lower.items():
        owner = "name" if key == "options" else key.removesuffix("_options")
        if owner != key and owner in upper:
            continue
        above = upper.get(key)
        nested = isinstance(value, Mapping) and isinstance(above, Mapping)
        kept[key] = _without_stale_options(value, above) if nested else value  # type: ignore[arg-type]
    return kept

"""What README.md and docs/ refer to exists: files, headings, environments, recipes, parameters."""

import re
from pathlib import Path

import pytest

from mlic.config.parameters import Parameters
from mlic.config.recipes import RecipeConfigLoader
from mlic.utils.strict_model import StrictModel

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]


def anchors(page):
    """Addresses of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def is_parameter(key, model=Parameters):
    """Whether there is such a parameter; a free dictionary accepts every key."""
    first, _, rest = key.partition(".")
    field = model.model_fields.get(first)
    if field is None or not rest:
        return field is not None
    kind = field.annotation
    nested = isinstance(kind, type) and issubclass(kind, StrictModel)
    return is_parameter(rest, kind) if nested else True


def parameters_of_the_table():
    """Keys in the table of docs/parameters.md; a row may list several keys of one section."""
    text = (ROOT / "docs/parameters.md").read_text(encoding="utf-8")
    for row in re.findall(r"^\| (`.+?) \|", text, re.MULTILINE):
        first, *others = re.findall(r"`([\w.]+)`", row)
        section = first.rpartition(".")[0]
        yield from (first, *(f"{section}.{name}" if section else name for name in others))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page):
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        file, _, anchor = target.partition("#")
        linked = page.parent / file if file else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_name_environments_recipes_and_parameters(page):
    text = page.read_text(encoding="utf-8")
    for env in re.findall(r"--env ([\w-]+)", text):
        assert env == "mine" or (ROOT / "conf" / env).is_dir(), env
    for assignments in re.findall(r"--params ([\w.]+=[^\s`]+)", text):
        for key in re.findall(r"(?:^|,)([\w.]+)=", assignments):
            assert is_parameter(key), key
    for recipe in re.findall(r"recipe=(\w+)", text):
        assert (ROOT / "conf/recipes" / f"{recipe}.yml").is_file(), recipe


def test_table_of_parameters_names_parameters():
    for key in parameters_of_the_table():
        assert is_parameter(key), key


def test_every_parameter_of_the_base_is_in_the_table():
    base = RecipeConfigLoader(str(ROOT / "conf"), base_env="base", default_run_env="base")
    listed = set(parameters_of_the_table())
    for section, values in base["parameters"].items():
        keys = [f"{section}.{key}" for key in values] if isinstance(values, dict) else [section]
        for key in keys:
            assert any(name == key or name.startswith(f"{key}.") for name in listed), key


def test_readme_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150

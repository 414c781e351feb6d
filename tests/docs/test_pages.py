"""What README.md and docs/ point at is there: files, headings, environments, parameters."""

import re
from pathlib import Path

import pytest

from mlic.config.parameters import Parameters
from mlic.utils.strict_model import StrictModel

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def anchors(page):
    """Addresses of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def known(key, model=Parameters):
    """Whether there is such a parameter; a tree of anything takes every key."""
    first, _, rest = key.partition(".")
    field = model.model_fields.get(first)
    if field is None or not rest:
        return field is not None
    kind = field.annotation
    return known(rest, kind) if isinstance(kind, type) and issubclass(kind, StrictModel) else True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_points_at_is_there(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        file, _, anchor = target.partition("#")
        there = page.parent / file if file else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target
    for env in re.findall(r"--env ([\w-]+)", text):
        assert env == "mine" or (ROOT / "conf" / env).is_dir(), env
    for said in re.findall(r"--params ([\w.]+=\S+)", text):
        for key in re.findall(r"(?:^|,)([\w.]+)=", said):
            assert known(key), f"{page.name}: {key}"


def test_the_table_of_parameters_names_parameters():
    rows = re.findall(r"^\| (`.+?) \|", (ROOT / "docs/parameters.md").read_text(), re.MULTILINE)
    assert len(rows) > 30
    for row in rows:
        first, *others = re.findall(r"`([\w.]+)`", row)
        section = first.rpartition(".")[0]
        for key in (first, *(f"{section}.{name}" if section else name for name in others)):
            assert known(key), key

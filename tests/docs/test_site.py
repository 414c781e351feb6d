"""The documentation is built without a network, documents every public name and loads no server."""

import doctest
import importlib
import re
import socket
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

import mlic

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built with every connection refused; a warning fails the build."""

    def refuse(*_):
        raise OSError("the documentation must be built without a network")

    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True)
        config.plugins.on_startup(command="build", dirty=False)
        build(config)
        config.plugins.on_shutdown()
    return folder


def test_every_public_name_is_documented(site):
    page = (site / "python_api.html").read_text(encoding="utf-8")
    anchors = set(re.findall(r'id="(mlic\.\w+)"', page))
    assert {f"mlic.{name}" for name in mlic.__all__ if name != "MlicError"} <= anchors
    assert "mlic.errors.MlicError" in page


def test_pages_load_nothing_from_a_server(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(https?:[^"]+)"', text)
        assert not loaded, f"{page.name}: {loaded}"


def test_linked_results_are_part_of_the_site(site):
    assert (site / "benchmarks/results/whole_cost.html").is_file()
    assert 'href="benchmarks/results/whole_cost.html"' in (site / "cost.html").read_text()


def test_marks_of_docstrings_become_markdown(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    outcome = doctest.testmod(importlib.import_module("docstrings"))
    assert outcome.attempted and not outcome.failed

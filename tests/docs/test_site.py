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


@pytest.fixture
def site(tmp_path, monkeypatch):
    """The site, built with every connection refused; a warning fails the build."""

    def refuse(*_):
        raise OSError("the documentation must be built without a network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path), strict=True)
    config.plugins.on_startup(command="build", dirty=False)
    build(config)
    config.plugins.on_shutdown()
    return tmp_path


def test_site_documents_every_public_name_and_loads_nothing_from_a_server(site):
    # one test, because the site takes seconds to build
    reference = (site / "python_api.html").read_text(encoding="utf-8")
    documented = set(re.findall(r'id="(mlic\.[\w.]+)"', reference))
    assert {f"mlic.{name}" for name in mlic.__all__ if name != "MlicError"} <= documented
    assert "mlic.errors.MlicError" in documented

    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(https?:[^"]+)"', text)
        assert not loaded, f"{page.name}: {loaded}"

    assert (site / "benchmarks/results/whole_cost.html").is_file()
    assert 'href="benchmarks/results/whole_cost.html"' in (site / "cost.html").read_text("utf-8")


def test_marks_of_docstrings_become_markdown(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    outcome = doctest.testmod(importlib.import_module("docstrings"))
    assert outcome.attempted and not outcome.failed

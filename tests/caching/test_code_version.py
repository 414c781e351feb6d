"""The version of the code that a node may run: what changes it, and what does not."""

import re
from pathlib import Path

import pytest

from mlic.caching import code_version as source

ROOT = Path(source.__file__).parents[1]
NODES = {
    name: f"mlic.pipelines.{name}.nodes"
    for name in ("baseline_training", "teacher_training", "distillation", "reporting")
}


def reached(text):
    found = source._reached(frozenset(source._named(text)))
    return {path.relative_to(ROOT).as_posix() for path in found}


def test_it_follows_imports_strings_and_packages():
    training = reached(NODES["baseline_training"])
    assert {
        "pipelines/training_run.py",  # imported at the top
        "training/fit.py",  # imported in a function
        "models/heads/linear.py",  # found by name, in a package that a string names
        "losses/asymmetric.py",
        "plugins.py",
        "labels/__init__.py",
        "__init__.py",
    } <= training
    assert not {"hooks.py", "pipelines/reporting/nodes.py", "datasets/coco.py"} & training
    assert "datasets/coco.py" in reached("a dataset of type mlic.datasets.CocoDataset")


@pytest.mark.parametrize("module", ["evaluation/metrics.py", "training/fit.py", "tracking/runs.py"])
def test_every_training_is_made_with_the_training_code(module):
    for name in ("baseline_training", "teacher_training", "distillation"):
        assert module in reached(NODES[name])


def test_names_of_no_module_lead_nowhere():
    assert source.code_version("mlic.nothing numpy") == source.code_version("")
    assert reached("from mlic import figures as f\n") >= {"report/__init__.py"}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of this name that consists of three modules and a template."""
    files = {
        "mlic/__init__.py": "",
        "mlic/a.py": "import mlic.b.c\n",
        "mlic/b/__init__.py": "",
        "mlic/b/c.py": "",
        "mlic/b/page.html": "",
        "mlic/lone.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(source, "_ROOT", tmp_path)

    def version(changed=None):
        if changed:
            (tmp_path / changed).write_text("x = 1\n")
        for cached in (source._version, source._files, source._below, source._holders):
            cached.cache_clear()
        source._neighbours.cache_clear()
        source._digest.cache_clear()
        return source.code_version("mlic.a.function")

    yield version
    monkeypatch.undo()
    version()


@pytest.mark.parametrize(
    ("changed", "matters"),
    [
        ("mlic/a.py", True),
        ("mlic/b/c.py", True),
        ("mlic/b/__init__.py", True),
        ("mlic/b/page.html", True),
        ("mlic/lone.py", False),
    ],
)
def test_a_change_counts_where_it_can_be_reached(package, changed, matters):
    before = package()
    assert package() == before
    assert (package(changed) != before) is matters


def test_no_module_hides_behind_a_relative_import():
    hidden = [p for p in ROOT.rglob("*.py") if re.search(r"^\s*from \.", p.read_text(), re.M)]
    assert not hidden

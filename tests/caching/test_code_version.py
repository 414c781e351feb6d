"""The version of the code that a result depends on: what changes it, and what does not."""

import re
from pathlib import Path

import pytest

import mlic
from mlic.caching.code_version import (
    SourceTree,
    code_version,
    source_tree,
    training_code_version,
)

ROOT = Path(mlic.__file__).parent
NODES = {
    name: f"mlic.pipelines.{name}.nodes"
    for name in ("baseline_training", "teacher_training", "distillation", "reporting")
}
REPORT_NODES = ("write_report", "summarise_run")
FUNCTION = '"""What it does."""\nX = 1\n\n\ndef f(a):\n    """Double."""\n    return a * 2\n'
TWO_NODES = """
from mlic.b.c import f
from mlic.lone import g

FACTOR = 2
print("side effect")


def first(a):
    return _scale(f(a))


def _scale(a):
    return a * FACTOR


def second(a):
    return g(a)
"""


def reached(*texts):
    return source_tree().reached(*texts)


class TestReach:
    def test_imports_strings_and_packages_are_followed(self):
        training = reached(NODES["baseline_training"])
        assert {
            "tracking/trainings.py",  # imported at the top
            "training/fit.py",  # imported in a function
            "models/heads/linear.py",  # found by name, in a package that a string names
            "losses/asymmetric.py",
            "labels/__init__.py",
        } <= training
        others = {"hooks/hooks.py", "pipelines/reporting/nodes.py", "datasets/coco.py"}
        assert not others & training
        assert "datasets/coco.py" in reached("a dataset of type mlic.datasets.CocoDataset")

    @pytest.mark.parametrize("module", ["evaluation/metrics.py", "training/fit.py"])
    def test_every_training_node_reaches_the_training_code(self, module):
        for name in ("baseline_training", "teacher_training", "distillation"):
            assert module in reached(NODES[name])

    def test_decoding_does_not_depend_on_training(self):
        decoding = reached("mlic.pipelines.data_preparation.nodes.decode_images")
        assert "images/decode.py" in decoding
        assert not {name for name in decoding if name.startswith(("training/", "losses/"))}

    def test_training_does_not_depend_on_how_labels_are_partitioned(self):
        training = reached("mlic.training")
        assert "labels/matrix.py" in training
        assert not {name for name in training if name.startswith("labels/partition/")}

    def test_a_node_reaches_what_its_function_uses_and_no_other_node(self):
        page, summary = (reached(f"{NODES['reporting']}.{name}") for name in REPORT_NODES)
        assert {"report/templates/report.html", "report/page.py"} <= page
        assert {"report/summary.py", "config/parameters.py"} <= summary
        assert not {name for name in summary if name.startswith("report/templates/")}
        assert not {"report/page.py", "pipelines/reporting/nodes.py"} & summary

    def test_names_of_no_module_lead_nowhere(self):
        assert code_version("mlic.nothing numpy") == code_version("")

    def test_no_module_hides_behind_a_relative_import(self):
        hidden = [p for p in ROOT.rglob("*.py") if re.search(r"^\s*from \.", p.read_text(), re.M)]
        assert not hidden


@pytest.fixture
def package(tmp_path):
    """A small package: `files` overwrites some of its files, then its version is computed."""
    root = tmp_path / "mlic"
    memo = tmp_path / "memo.json"

    def version(files=None, start="mlic.a.function"):
        for name, text in (files or {}).items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return SourceTree(root, memo).version(start)

    version.memo = memo
    version(
        {
            "__init__.py": "",
            "a.py": "import mlic.b.c\nfrom mlic.d import used\n",
            "b/__init__.py": "",
            "b/c.py": FUNCTION,
            "b/page.html": "",
            "p/nodes.py": TWO_NODES,
            "d/__init__.py": "from mlic.d.e import used\n",
            "d/e.py": "used = 1\n",
            "d/unused.py": "",
            "lone.py": "",
        }
    )
    return version


@pytest.mark.parametrize(
    ("changed", "matters"),
    [
        ("a.py", True),
        ("b/c.py", True),
        ("b/__init__.py", True),
        ("b/page.html", False),
        ("d/e.py", True),
        ("d/unused.py", False),
        ("lone.py", False),
        ("__init__.py", False),
    ],
)
def test_a_change_counts_where_it_can_be_reached(package, changed, matters):
    before = package()
    assert package() == before
    text = "x = 'import mlic.b.c, mlic.d.e'\n" if changed == "a.py" else "x = used = 11\n"
    assert (package({changed: text}) != before) is matters


def test_a_package_whose_init_does_not_import_a_name_counts_as_a_whole(package):
    before = package({"d/__init__.py": "lazy = {'e': ['used']}\n"})
    assert package({"d/unused.py": "x = 1\n"}) != before


def test_other_files_count_where_their_package_is_named(package):
    before = package({"a.py": "loader = 'mlic.b'\n"})
    assert package({"b/page.html": "<p>"}) != before


@pytest.mark.parametrize(
    ("old", "new", "matters"),
    [
        ("_scale(f(a))", "f(a)", True),
        ("a * FACTOR", "a + FACTOR", True),
        ("FACTOR = 2", "FACTOR = 3", True),
        ("side effect", "another effect", True),
        ("g(a)", "g(a + 1)", False),
        ("mlic.lone", "mlic.d", False),
    ],
)
def test_of_a_module_of_nodes_only_what_the_function_uses_counts(package, old, new, matters):
    before = package(start="mlic.p.nodes.first")
    assert old in TWO_NODES
    changed = {"p/nodes.py": TWO_NODES.replace(old, new)}
    assert (package(changed, start="mlic.p.nodes.first") != before) is matters
    assert package({"lone.py": "x = 3"}, start="mlic.p.nodes.second") != before


@pytest.mark.parametrize("name", ["mlic.p.nodes", "mlic.p.nodes.gone"])
def test_a_module_of_nodes_counts_as_a_whole_where_no_function_of_it_is_named(package, name):
    before = package(start=name)
    changed = {"p/nodes.py": TWO_NODES.replace("g(a)", "g(a + 1)")}
    assert package(changed, start=name) != before


@pytest.mark.parametrize(
    "same",
    [
        FUNCTION.replace("What it does", "See mlic.lone"),
        FUNCTION.replace('    """Double."""\n', ""),
        FUNCTION.replace("X = 1", "X = 1  # as in mlic.lone"),
        FUNCTION.replace("\n\n\n", "\n"),
        FUNCTION.replace("return a * 2", "return (\n        a * 2\n    )"),
        FUNCTION.replace("\n\n\n", "\nif TYPE_CHECKING:\n    import mlic.lone\n"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(package, same):
    before = package()
    if "TYPE_CHECKING" in same:
        before = package({"b/c.py": same.replace("mlic.lone", "mlic.d.unused")})
    assert same != FUNCTION and package({"b/c.py": same}) == before
    assert package({"lone.py": "x = 2\n"}) == before


@pytest.mark.parametrize(
    "other",
    [
        FUNCTION.replace("a * 2", "a * 3"),
        FUNCTION.replace("X = 1", "X = '1'"),
        FUNCTION.replace("def f", "def g"),
        FUNCTION + "\nY = 2\n",
    ],
)
def test_code_counts(package, other):
    before = package()
    assert package({"b/c.py": other}) != before


def test_names_of_files_count(package):
    before = package({"b/more.py": ""}, start="mlic.b")
    assert package({"b/other.py": ""}, start="mlic.b") != before


def test_digests_are_remembered_while_files_stay_the_same(package, monkeypatch):
    before = package()
    with monkeypatch.context() as context:
        context.setattr("ast.parse", lambda _: pytest.fail("parsed again"))
        assert package() == before
    package.memo.write_text("[1]")
    assert package() == before
    package.memo.unlink()
    assert package() == before and package.memo.is_file()


def test_files_that_are_left_out_lead_nowhere():
    every = reached("mlic.training")
    left = source_tree().reached("mlic.training", without=frozenset({"training/calibration.py"}))
    assert every - left >= {"training/calibration.py", "evaluation/thresholds.py"}
    assert {"training/fit.py", "training/checkpoint.py", "losses/asymmetric.py"} <= left


def test_training_code_version_changes_with_the_training_code_only():
    assert training_code_version() == training_code_version() != code_version("mlic.losses")

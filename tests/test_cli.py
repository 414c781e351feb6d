"""`kedro run` uses mlic's runners under the names of Kedro's."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import find_run_command
from kedro.framework.startup import bootstrap_project
from kedro.utils import load_obj

from mlic import runners
from mlic.cli import _stay_offline, cli, parameters, run

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def selected(monkeypatch):
    """Return the runner class that a command line selects."""

    def select(*arguments):
        given = {}
        monkeypatch.setattr(run, "callback", lambda **options: given.update(options))
        result = CliRunner().invoke(run, arguments, catch_exceptions=False)
        assert not result.exit_code, result.output
        return load_obj(given["runner"], "kedro.runner")

    return select


def test_default_runner_skips_nodes_that_are_up_to_date(selected):
    assert selected() is runners.SequentialRunner


def test_short_names_are_ours_and_qualified_names_are_kedros(selected):
    assert selected("--runner", "ParallelRunner") is runners.ParallelRunner
    assert selected("-r", "kedro.runner.SequentialRunner").__module__.startswith("kedro.")
    assert selected("--runner=ThreadRunner").__module__.startswith("kedro.")


def test_unknown_runner_is_an_error_that_lists_the_known_ones():
    result = CliRunner().invoke(run, ["--runner=Parallel"])
    assert result.exit_code == 2
    assert "'Parallel'" in result.output and ", ".join(runners.__all__) in result.output


def test_configuration_file_can_name_the_runner(selected, tmp_path):
    file = tmp_path / "run.yml"
    file.write_text("run:\n  runner: ParallelRunner\n")
    assert selected("--config", str(file)) is runners.ParallelRunner


def test_all_other_options_are_kedros():
    assert [o.name for o in run.params] == [o.name for o in kedro_run.params]
    assert find_run_command("mlic") is run is cli.commands["run"]
    (theirs,) = (o for o in kedro_run.params if o.name == "runner")
    assert theirs.default is None and isinstance(cli, click.Group)


def test_kedro_viz_does_not_ask_for_its_newest_version(monkeypatch):
    from kedro_viz.integrations import pypi

    before = pypi.get_latest_version
    monkeypatch.setattr(pypi, "get_latest_version", before)
    _stay_offline(["kedro", "run"])
    assert pypi.get_latest_version is before
    _stay_offline(["kedro", "viz", "run"])
    assert pypi.get_latest_version() is None
    assert not pypi.is_running_outdated_version(pypi.parse("1.0"), None)


def test_parameters_are_listed_with_their_sources(monkeypatch):
    monkeypatch.chdir(ROOT)
    bootstrap_project(ROOT)
    arguments = ["--params", "training.epochs=3,recipe=published", "training", "data"]
    result = CliRunner().invoke(parameters, arguments, catch_exceptions=False)
    lines = dict(line.split(maxsplit=1) for line in result.output.splitlines() if "." in line)
    assert lines["training.epochs"] == "3  (--params)"
    assert lines["training.optimizer"] == '"adam"  (conf/recipes/published.yml)'
    assert lines["data.validation_fraction"] == "0.14  (conf/base)"
    assert lines["training.peers"] == "0  (default)"
    assert not any(key.startswith("model") for key in lines)


def test_an_unknown_section_is_an_error(monkeypatch):
    monkeypatch.chdir(ROOT)
    bootstrap_project(ROOT)
    result = CliRunner().invoke(parameters, ["trainings"])
    assert result.exit_code == 2 and "trainings" in result.output

"""`kedro run` takes mlic's runners, by the names of Kedro's."""

import click
import pytest
from click.testing import CliRunner
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import find_run_command
from kedro.utils import load_obj

from mlic import runners
from mlic.cli import cli, run


@pytest.fixture
def asked(monkeypatch):
    """The runner that a command line asks for."""

    def asked(*words):
        taken = {}
        monkeypatch.setattr(run, "callback", lambda **options: taken.update(options))
        result = CliRunner().invoke(run, words, catch_exceptions=False)
        assert not result.exit_code, result.output
        return load_obj(taken["runner"], "kedro.runner")

    return asked


def test_plain_kedro_run_leaves_out_what_is_up_to_date(asked):
    assert asked() is runners.SequentialRunner


def test_short_names_are_ours_and_long_ones_kedros(asked):
    assert asked("--runner", "ParallelRunner") is runners.ParallelRunner
    assert asked("-r", "kedro.runner.SequentialRunner").__module__.startswith("kedro.")
    assert asked("--runner=ThreadRunner").__module__.startswith("kedro.")


def test_an_unknown_runner_is_told_with_those_there_are():
    result = CliRunner().invoke(run, ["--runner=Parallel"])
    assert result.exit_code == 2
    assert "no runner 'Parallel': take one of ParallelRunner, SequentialRunner" in result.output


def test_a_configuration_file_may_name_the_runner(asked, tmp_path):
    file = tmp_path / "run.yml"
    file.write_text("run:\n  runner: ParallelRunner\n")
    assert asked("--config", str(file)) is runners.ParallelRunner


def test_all_else_is_kedros(asked):
    assert [o.name for o in run.params] == [o.name for o in kedro_run.params]
    assert find_run_command("mlic") is run is cli.commands["run"]
    (theirs,) = (o for o in kedro_run.params if o.name == "runner")
    assert theirs.default is None and isinstance(cli, click.Group)

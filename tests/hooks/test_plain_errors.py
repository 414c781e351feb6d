"""The hook that prints errors as one message is installed once, with the project's log levels."""

import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from mlic.hooks.console import PlainExcepthook, is_news
from mlic.hooks.plain_errors import PlainErrors

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def original_excepthook(monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)


def create_context(path=ROOT):
    PlainErrors().after_context_created(SimpleNamespace(project_path=path))


def test_ctrl_c_in_a_command_exits_with_130():
    @click.command()
    def run():
        create_context(Path.cwd())
        raise KeyboardInterrupt

    result = CliRunner().invoke(run)
    assert result.exit_code == 130
    assert "interrupted: " in result.stderr
    assert "Aborted" not in result.output


def test_log_levels_of_the_project_hold_in_its_folders_too(monkeypatch):
    log = logging.getLogger("kedro.io")
    monkeypatch.setattr(log, "level", logging.INFO)
    # in the project's own folder Kedro itself has read the file
    for folder, level in ((ROOT, logging.INFO), (ROOT / "conf", logging.WARNING)):
        monkeypatch.chdir(folder)
        create_context()
        assert log.level == level


def test_excepthook_and_log_filter_are_installed_once():
    create_context()
    installed = sys.excepthook
    create_context()
    assert isinstance(installed, PlainExcepthook) and sys.excepthook is installed
    assert logging.getLogger("kedro.pipeline.node").filters.count(is_news) == 1

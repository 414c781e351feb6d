"""MLflow's database is made complete or not at all, and a damaged one is one clear error."""

import sqlite3
import subprocess
import sys

import pytest
from mlflow.exceptions import MlflowException

from mlic.errors import TrainingError
from mlic.tracking.runs import close_parent, open_parent
from mlic.tracking.settings import read_settings

OPEN = """
import sys
from pathlib import Path
from mlic.tracking.runs import close_parent, open_parent
from mlic.tracking.settings import read_settings
open_parent(read_settings({}, Path(sys.argv[1])), "all", {}, {})
close_parent("FINISHED")
"""


def open_run(project):
    run_id = open_parent(read_settings({}, project), "all", {}, {})
    close_parent("FINISHED")
    return run_id


def half_made(path):
    """As it was left by a kill before databases were made under another name."""
    with sqlite3.connect(path) as database:
        database.execute("create table secrets (a int)")


def text(path):
    path.write_text("hello" * 1000)


@pytest.mark.parametrize("damage", [half_made, text])
def test_a_damaged_database_is_one_error_whose_cure_works(tmp_path, damage, caplog):
    damage(tmp_path / "mlflow.db")
    with pytest.raises(TrainingError, match="move the file away") as caught:
        open_run(tmp_path)
    assert "\n" not in str(caught.value) and not caplog.records
    (tmp_path / "mlflow.db").rename(tmp_path / "kept.db")
    assert open_run(tmp_path)


@pytest.mark.parametrize("reason", ["attempt to write a readonly database", "disk is full"])
def test_a_database_that_cannot_be_written_is_not_to_be_moved_away(tmp_path, monkeypatch, reason):
    def refuse(*_, **__):
        text = f"(sqlite3.OperationalError) {reason}\n[SQL: INSERT ...]\n(Background ...)"
        raise MlflowException(text)

    with monkeypatch.context() as patch, pytest.raises(TrainingError) as caught:
        patch.setattr("mlflow.MlflowClient.create_run", refuse)
        open_run(tmp_path)
    message = str(caught.value)
    assert f"({reason}" in message.replace("(sqlite3.OperationalError) ", "(")
    assert "give write access" in message and "move" not in message and "SQL:" not in message
    assert open_run(tmp_path)


def test_what_a_kill_left_while_the_database_was_made_does_not_matter(tmp_path):
    half_made(tmp_path / "mlflow.db.partial_0123")
    assert open_run(tmp_path)
    assert not list(tmp_path.glob("*partial*"))
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        assert "partial" not in "".join(database.iterdump())


@pytest.mark.slow
def test_first_runs_at_the_same_time_make_one_database(tmp_path):
    command = [sys.executable, "-c", OPEN, str(tmp_path)]
    runs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [run.communicate(timeout=120)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], errors
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        assert database.execute("select count(*) from runs").fetchone() == (3,)

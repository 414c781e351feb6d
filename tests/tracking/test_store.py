"""MLflow's database is made complete or not at all, and a damaged one is one clear error."""

import sqlite3
import subprocess
import sys

import pytest

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

"""The log: its three formats, one line for each node, and each warning once."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from mlic.errors import ParameterError
from mlic.hooks.console import show_results
from mlic.utils.logging import log_format

ROOT = Path(__file__).resolve().parents[2]  # where conf/logging.yml lies
SCRIPT = """
import logging, warnings
from kedro.framework.project import LOGGING
from mlic.utils.logging import set_up_logging
set_up_logging()
set_up_logging()
log = logging.getLogger("mlic.runners.sequential")
log.setLevel("INFO")
for count, name in enumerate(["teachers.cgp_0.train", "student.train"], 1):
    log.info("Completed node: %s", name)
    log.info("Completed %d out of %d tasks", count, 2)
log.info("Using synchronous mode for loading and saving data.")
for _ in range(2):
    log.warning("no class maps of %s", "a[0]")
log.info("Results", extra={"data": {"gain": 1.5}})
try:
    1 / 0
except ZeroDivisionError:
    log.exception("broken")
"""


def run_script(log_format):
    environment = {"MLIC_LOG": log_format, "PATH": "", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, cwd=ROOT, env=environment
    )
    assert not done.stderr and done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_readable_log_has_one_line_per_node_and_each_warning_once():
    lines = [line.split(" ", 2)[2] for line in run_script("") if line[:2] == "20"]
    assert lines == [
        "INFO Completed 1 of 2: teachers.cgp_0.train",
        "INFO Completed 2 of 2: student.train",
        "WARNING no class maps of a[0]",
        "INFO Results",
        "ERROR broken",
    ]


def test_json_log_has_one_object_per_line():
    records = [json.loads(line) for line in run_script("json")]
    assert [record["level"] for record in records] == ["INFO"] * 2 + ["WARNING", "INFO", "ERROR"]
    assert records[0]["message"] == "Completed 1 of 2: teachers.cgp_0.train"
    assert records[3]["data"] == {"gain": 1.5}
    assert "ZeroDivisionError" in records[4]["exception"]
    assert all(record["time"] and record["logger"].startswith("mlic") for record in records)


def test_quiet_log_has_only_warnings_and_errors():
    lines = run_script("quiet")
    assert [line.split(" ", 2)[2] for line in lines if line[:2] == "20"] == [
        "WARNING no class maps of a[0]",
        "ERROR broken",
    ]


@pytest.mark.parametrize("selected", ["", "json", "quiet"])
def test_results_are_shown_in_the_format_of_the_log(monkeypatch, capsys, caplog, selected):
    monkeypatch.setenv("MLIC_LOG", selected)
    caplog.set_level("INFO", "mlic")
    models = {"baseline": {"mAP": 50.0, "CP": 1.0}, "student": {"mAP": 53.5, "CP": 2.0}}
    summary = {**models, "passes": {"baseline": 16, "psd": 136}}
    show_results(summary, ["report.html"])
    assert ("53.5" in capsys.readouterr().out) == (selected == "")
    logged = [record.data for record in caplog.records]
    assert len(logged) == (selected == "json")
    for data in logged:
        assert data["gain"] == {"mAP": 3.5} and data["cost_in_baselines"] == 8.5
        assert data["student"] == {"mAP": 53.5} and data["files"] == ["report.html"]


def test_unknown_format_is_refused(monkeypatch):
    monkeypatch.setenv("MLIC_LOG", "loud")
    with pytest.raises(ParameterError) as error:
        log_format()
    assert error.value.fields == {"name": "MLIC_LOG", "value": "loud"}


def test_a_module_that_is_loaded_anew_replaces_the_handler(monkeypatch):
    """As ``%reload_kedro`` of a notebook does: no line may appear twice."""
    import importlib

    import mlic.utils.logging as module

    before = list(logging.getLogger().handlers)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    for _ in range(3):
        importlib.reload(module).set_up_logging()
    assert len(logging.getLogger().handlers) == 1
    logging.getLogger().handlers = before

"""A second run of one environment waits for the first; another environment does not."""

import errno
import logging
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from mlic.hooks.run_lock import RunLock

# Holds the lock as another process until it is killed or its input is closed.
HOLD = """
import sys
from types import SimpleNamespace
from mlic.hooks.run_lock import RunLock
lock = RunLock()
class Loader(dict):
    folder = sys.argv[2]
loader = Loader(parameters={"data_folder": sys.argv[1] + "/data"})
lock.after_context_created(SimpleNamespace(config_loader=loader))
lock.before_pipeline_run()
print("held", flush=True)
sys.stdin.read()
"""


class Loader(dict):
    """A configuration with an environment."""

    folder: str


def make_lock(project, environment="base"):
    lock = RunLock()
    loader = Loader(parameters={"data_folder": str(project / "data")})
    loader.folder = environment
    lock.after_context_created(SimpleNamespace(config_loader=loader))
    return lock


@pytest.fixture
def other(tmp_path):
    """Another process that runs the environment 'base' of the project."""
    command = [sys.executable, "-c", HOLD, str(tmp_path), "base"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.mark.parametrize("end", ["exit", "kill"])
def test_a_second_run_waits_until_the_first_has_ended(tmp_path, other, caplog, end):
    caplog.set_level(logging.INFO, logger="mlic")
    lock = make_lock(tmp_path)
    waiting = threading.Thread(target=lock.before_pipeline_run, daemon=True)
    waiting.start()
    deadline = time.monotonic() + 20
    while "'base' is in progress" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.01)
    assert waiting.is_alive()
    if end == "kill":
        other.kill()
    else:
        other.stdin.close()
    waiting.join(20)
    assert not waiting.is_alive()
    lock.after_pipeline_run()


def test_another_environment_does_not_wait(tmp_path, other):
    lock = make_lock(tmp_path, "corel5k")
    lock.before_pipeline_run()
    lock.after_pipeline_run()


@pytest.mark.parametrize("end", ["after_pipeline_run", "on_pipeline_error"])
def test_runs_of_one_process_follow_each_other(tmp_path, end):
    first, second = make_lock(tmp_path), make_lock(tmp_path)
    first.before_pipeline_run()
    getattr(first, end)()
    second.before_pipeline_run()
    second.before_pipeline_run()  # after an interrupted run, for which Kedro calls no hook
    second.after_pipeline_run()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_only_a_folder_that_cannot_be_written_needs_no_lock(tmp_path, monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, "refused")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    lock = make_lock(tmp_path)
    full = number == errno.ENOSPC
    with pytest.raises(OSError, match="refused") if full else nullcontext():
        lock.before_pipeline_run()
    lock.after_pipeline_run()

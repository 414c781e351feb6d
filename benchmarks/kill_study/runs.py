"""Runs of a project as a user starts them, some from a process that has loaded everything."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from common import ROOT

from kill_study import child

__all__ = ["PRELOADED", "Outcome", "Run", "preload"]

# what a run imports itself; none of them starts a thread
PRELOADED = (
    "kedro.framework.cli.cli",
    "kedro.framework.session",
    "kedro.runner",
    "mlflow",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.system_metrics.system_metrics_monitor",
    "mlflow.pyfunc",
    "mlic.settings",
    "mlic.pipeline_registry",
    "mlic.tracking.trainings",
    "mlic.distillation.joining",
    "mlic.evaluation.label_issues",
    "mlic.report.page",
    "mlic.training.tasks.frozen_branches",
    "mlic.training.tasks.joint_teachers",
    "mlic.explain.class_maps",
    "mlic.labels.partition",
    "plotly.graph_objects",
    "scipy.optimize",
    "timm.utils",
)
ENDS_WITHIN = 600  # seconds


def preload() -> float:
    """Import what runs need, so that a run that is forked from this process starts at once.

    The seconds that this took are returned.
    """
    start = time.monotonic()
    for name in PRELOADED:
        importlib.import_module(name)
    return time.monotonic() - start


@dataclass
class Outcome:
    """How a run ended: its exit code (a negative signal), what it printed, its processes."""

    code: int
    text: str
    seconds: float
    alive: list[int] = field(default_factory=list)  # processes 5 seconds after the end

    @property
    def has_traceback(self) -> bool:
        """Whether the user saw a traceback."""
        return "Traceback" in self.text or "most recent call last" in self.text


class Run:
    """A run of a project in a session of its own, whose processes can be found and killed.

    Parameters
    ----------
    project
        Its folder, in which it runs.
    arguments
        Those of ``kedro``.
    environment
        Further environment variables, such as those of `kill_study.child`.
    cold
        Whether to start a new interpreter, or to fork this one, which has loaded everything.
    before
        Called in the new process first.
    """

    def __init__(
        self,
        project: Path,
        arguments: list[str],
        environment: Mapping[str, str] | None = None,
        cold: bool = False,
        before: Callable[[], object] | None = None,
    ) -> None:
        self.log, self.start = project / "run.log", time.monotonic()
        own = {"PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200", "TERM": "dumb"}
        own |= environment or {}
        if cold:
            command = [sys.executable, str(Path(child.__file__)), *arguments]
            with self.log.open("wb") as log:
                started = subprocess.Popen(
                    command, cwd=project, env={**os.environ, **own}, stdout=log, stderr=log,
                    stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=before,  # noqa: PLW1509
                )  # fmt: skip
            self.pid = started.pid
            started.returncode = 0  # it is waited for here, not by its destructor
        else:
            self.pid = os.fork() or self._run_here(project, arguments, own, before)

    def _run_here(
        self, project: Path, arguments: list[str], own: dict[str, str], before: Any
    ) -> int:
        """Run in this forked process, and end it as an interpreter ends."""
        code = 1
        try:
            os.setsid()
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.chdir(project)
            os.environ |= own
            if before is not None:
                before()
            child.observe()
            child.run_kedro(arguments)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        finally:
            with contextlib.suppress(BaseException):
                threading._shutdown()  # type: ignore[attr-defined]
                atexit._run_exitfuncs()
                sys.stdout.flush()
            os._exit(code)
        raise AssertionError

    def kill_after(self, seconds: float, worker: bool = False) -> bool:
        """Kill the run, or one of its workers once there is one; False if it ended before."""
        while True:
            if self._ended():
                return False
            victims = self._workers() if worker else [psutil.Process(self.pid)]
            if victims and time.monotonic() >= self.start + seconds:
                with contextlib.suppress(psutil.NoSuchProcess):
                    victims[int(1000 * seconds) % len(victims)].kill()
                return True
            time.sleep(0.002)

    def _ended(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _workers(self) -> list[psutil.Process]:
        """Processes of the pool, without multiprocessing's own."""
        found = []
        for process in psutil.Process(self.pid).children():
            with contextlib.suppress(psutil.Error):
                if "spawn_main" in " ".join(process.cmdline()) and process.num_threads() > 1:
                    found.append(process)
        return found

    def end(self) -> Outcome:
        """Wait for the end, at most ten minutes, and for the run's other processes."""
        while not self._ended():
            if time.monotonic() > self.start + ENDS_WITHIN:
                os.killpg(self.pid, signal.SIGKILL)
            time.sleep(0.01)
        seconds = time.monotonic() - self.start
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        deadline = time.monotonic() + 5
        while (alive := self._session()) and time.monotonic() < deadline:
            time.sleep(0.05)
        for process in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return Outcome(code, self.log.read_text(errors="replace"), seconds, alive)

    def _session(self) -> list[int]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                same = os.getsid(process.pid) == self.pid
                if same and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
        return found


def steps_of(file: Path) -> dict[str, int]:
    """Steps of each training that runs have counted in a file."""
    names = file.read_text().split("\n")[:-1] if file.is_file() else []
    return {name: names.count(name) for name in set(names)}


def ask_kill(**asked: Any) -> dict[str, str]:
    """Environment of a run that kills itself."""
    return {child.KILL: json.dumps(asked)}

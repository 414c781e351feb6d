"""A run of the study: it counts its training steps, and kills itself where it is asked to.

Started as a script, it is ``kedro run`` with the same arguments. Workers of ``ParallelRunner``
import it too, so that they do the same. What to do is read from environment variables.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from functools import wraps
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["KILL", "STEPS", "WRITES", "kind_of", "observe", "run_kedro"]

STEPS = "KILL_STUDY_STEPS"  # file that gets a line for each training step: the training's name
WRITES = "KILL_STUDY_WRITES"  # file that gets a line for each file that is replaced: its path
# JSON: "file" (a kind of file) and "time" (which replacement), or "step" (the training) and "time",
# or "mlflow" (the making of its database); "after": seconds, or null for before it happens
KILL = "KILL_STUDY_KILL"


def run_kedro(arguments: list[str]) -> None:
    """Do what the command ``kedro`` does."""
    from kedro.framework.cli.cli import main

    sys.argv = ["kedro", *arguments]
    main()


def observe() -> None:
    """Count and kill as the environment asks for, if it does."""
    if STEPS in os.environ:
        kill = _Kill(json.loads(os.environ.get(KILL, "{}")))
        _observe_files(kill)
        # not earlier than the run itself imports them
        _when_imported("mlic.tracking.store", lambda: _observe_mlflow(kill))
        _when_imported("mlic.training.train", lambda: _observe_training(kill))


def _observe_training(kill: _Kill) -> None:
    from mlic.training import state, train

    training: list[str] = []  # the one in progress

    @wraps(fit := train.fit)
    def named_fit(task: Any, *arguments: Any) -> None:
        training[:] = [task.name]
        fit(task, *arguments)

    @wraps(step := state.Learner.step)
    def counted_step(learner: state.Learner) -> None:
        with kill.around("step", training[0]):
            step(learner)
            _append(os.environ[STEPS], training[0])

    train.fit, state.Learner.step = named_fit, counted_step


def _observe_files(kill: _Kill) -> None:
    @wraps(replace := os.replace)
    def listed_replace(source: Any, target: Any) -> None:
        kind = kind_of(os.path.relpath(target))
        with kill.around("file", kind):
            replace(source, target)
            if WRITES in os.environ:
                _append(os.environ[WRITES], kind)

    os.replace = listed_replace


def _observe_mlflow(kill: _Kill) -> None:
    from mlic.tracking import store

    @wraps(make := store._make_database)
    def timed_make(path: Path) -> None:
        kill.start_of("mlflow")
        make(path)

    store._make_database = timed_make


def _when_imported(name: str, action: Callable[[], None]) -> None:
    if name in sys.modules:
        action()
    else:
        sys.meta_path.insert(0, _Watcher(name, action))


class _Watcher(MetaPathFinder):
    """Acts when a module has been imported."""

    def __init__(self, name: str, action: Callable[[], None]) -> None:
        self.name, self.action = name, action

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """Find the module by the other finders, and act after it was executed."""
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        loader: Any = spec.loader if spec else None
        execute = loader.exec_module

        def execute_and_act(module: Any) -> None:
            execute(module)
            self.action()

        loader.exec_module = execute_and_act
        return spec


def kind_of(path: str) -> str:
    """Kind of a file of a project, such as ``store/*.npy``; records of nodes are one kind.

    Examples
    --------
    >>> kind_of("data/06_models/base/store/student/unfinished.safetensors")
    'store/unfinished.safetensors'
    """
    parts, file = Path(path).parts, Path(path)
    if file.name.startswith("."):
        return file.name
    place = next((one for one in ("store", ".records", "mlruns") if one in parts), None)
    if place == "store" and file.suffix == ".safetensors":
        return f"store/{file.name}"
    return f"{place or '/'.join(parts[1:2])}/*{file.suffix}" if len(parts) > 1 else file.name


def _append(file: str, line: str) -> None:
    # one write to the end of the file: whole, also of several processes
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


class _Kill:
    """Kills this process at the moment that is asked for."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked, self.seen = asked, Counter[tuple[str, str]]()
        self.due = False

    def around(self, kind: str, name: str) -> _Kill:
        self.seen[kind, name] += 1
        asked = self.asked.get(kind) == name and self.asked["time"] == self.seen[kind, name]
        if asked and self.asked["after"] is None:
            _kill_now()
        self.due = asked
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if self.due:
            self._kill_later()

    def start_of(self, kind: str) -> None:
        if kind in self.asked:
            self._kill_later()

    def _kill_later(self) -> None:
        if self.asked["after"] == 0:
            _kill_now()
        timer = threading.Timer(self.asked["after"], _kill_now)
        timer.daemon = True
        timer.start()


def _kill_now() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ in ("__main__", "__mp_main__"):
    observe()
if __name__ == "__main__":
    run_kedro(sys.argv[1:])

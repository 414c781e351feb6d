"""Projects of the study, and everything about one that a kill must not change."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT

from mlic.caching.tensors import load_tensors
from mlic.tracking.store import connect
from mlic.utils.sqlite import uri_of

__all__ = ["list_partial", "make_database", "make_project", "read_results", "read_runs"]

DATABASE = "mlflow.db"
UNFINISHED = "unfinished.safetensors"
MEASURED = ("seconds", "images_per_second", "git", "version", "device", "created")


def make_project(folder: Path, database: Path | None = None) -> Path:
    """Copy the configuration to a new folder, and a database of MLflow, if one is given."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "conf", folder / "conf")
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / ".telemetry").write_text("consent: false\n")
    (folder / "src").mkdir()
    if database is not None:
        shutil.copy(database, folder / DATABASE)
    return folder


def make_database(folder: Path) -> tuple[Path, float]:
    """Let MLflow create its tables; the file, and the seconds that it took."""
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    # in a process of its own, because MLflow keeps connections, which must not be forked
    if (process := os.fork()) == 0:
        connect(uri_of(folder / DATABASE))
        os._exit(0)
    os.waitpid(process, 0)
    return folder / DATABASE, time.monotonic() - start


def read_results(project: Path) -> dict[str, Any]:
    """Digests of all weights, logits and images, and all figures and histories but times."""
    data = project / "data"
    found: dict[str, Any] = {}
    for file in sorted(data.rglob("*.safetensors")):
        if file.name != UNFINISHED:
            arrays = load_tensors(file)[0]
            found[str(file.relative_to(data))] = _digest(arrays[name] for name in sorted(arrays))
    for file in sorted(data.rglob("*.npy")):
        found[str(file.relative_to(data))] = _digest([np.load(file, mmap_mode="r")])
    for name in ("08_reporting/base/summary", "07_model_output/base/trainings"):
        found[name] = _without_times(json.loads((data / f"{name}.json").read_text()))
    return found


def _digest(arrays: Any) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def _without_times(tree: Any) -> Any:
    if isinstance(tree, list):
        return [_without_times(value) for value in tree]
    if isinstance(tree, dict):
        kept = {k: v for k, v in tree.items() if not any(word in k for word in MEASURED)}
        return {key: _without_times(value) for key, value in kept.items()}
    return tree


def list_partial(project: Path) -> list[str]:
    """Files that are not whole, or that only a training in progress needs."""
    names = (str(path.relative_to(project)) for path in project.rglob("*") if path.is_file())
    return [name for name in names if ".partial" in name or name.endswith(UNFINISHED)]


def read_runs(project: Path, epochs: int) -> tuple[int, int]:
    """Runs of MLflow that are still RUNNING, and trainings whose epochs are not each there once."""
    with sqlite3.connect(project / DATABASE) as database:
        (running,) = database.execute(
            "SELECT count(*) FROM runs WHERE status = 'RUNNING'"
        ).fetchone()
        steps = database.execute(
            "SELECT group_concat(step) FROM metrics JOIN runs USING (run_uuid) WHERE "
            "key = 'loss.train' AND status = 'FINISHED' GROUP BY run_uuid"
        ).fetchall()
    expected = list(range(1, epochs + 1))
    wrong = [own for (own,) in steps if sorted(map(int, own.split(","))) != expected]
    return running, len(wrong)

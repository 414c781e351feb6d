"""Damage to the files of a finished run, and what the next run would do about it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import numpy as np
from common import ROOT
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DatasetError

import mlic.runners.node_cache
from mlic.caching.content_state import LOCK_NAME
from mlic.caching.store import ArtifactStore
from mlic.errors import MlicError
from mlic.runners.catalog_entries import read_entry
from mlic.runners.node_cache import NodeCache, filter_stale_nodes
from robustness_study.odd import mutate_bytes

__all__ = ["Found", "damage_files", "damage_runs", "make_project"]

TINY = (
    "synthetic.num_images=160,synthetic.size=32,data.image_size=32,data.validation_fraction=.2,"
    "data.test_fraction=.3,training.epochs=1,training.threads=1,training.teacher_epoch_factor=1,"
    "training.student_epoch_factor=1,partition.num_parts=2,explain.images=20"
)
NOT_FIGURES = ("seconds", "git", "time", "version", "device")


@dataclass
class Found:
    """Outcomes of mutations of one kind of file."""

    noticed: int = 0
    harmless: int = 0  # the same content, for example another blank in a header
    silent: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)


def make_project(folder: Path) -> Path:
    """Copy the configuration to a folder, and run everything in a small size."""
    shutil.copytree(ROOT / "conf", folder / "conf")
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, folder)
    (folder / "src").mkdir()
    ended = run(folder)
    assert ended.returncode == 0, ended.stderr
    return folder


def run(project: Path) -> subprocess.CompletedProcess[str]:
    """Run the small size as a user would."""
    command = [sys.executable, "-m", "kedro", "run", "--params", TINY]
    # Wide, so that no path in a message is broken over two lines.
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "2000"}
    return subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )


def figures(project: Path) -> Any:
    """Everything in the summary but times and versions."""
    summary = json.loads((project / "data/08_reporting/base/summary.json").read_text())
    return _without_times(summary)


def _without_times(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    kept = {k: v for k, v in tree.items() if not any(word in k for word in NOT_FIGURES)}
    return {key: _without_times(value) for key, value in kept.items()}


def files_of(project: Path) -> list[Path]:
    """All files that a run left under ``data``."""
    found = (path for path in (project / "data").rglob("*") if path.is_file())
    return sorted(path for path in found if not path.name.endswith(LOCK_NAME))


def kind_of(file: Path) -> str:
    """Kind of a file, by what reads it."""
    if ".records" in file.parts:
        return "records of nodes"
    if "store" in file.parts:
        return f"store, *{file.suffix}"
    return f"*{file.suffix}"


def damage_files(project: Path, times: int, seed: int) -> dict[str, Found]:
    """Mutate every file so many times, and ask what a run would do; files are restored."""
    bootstrap_project(project)
    parameters = dict(part.split("=") for part in TINY.split(","))
    found: dict[str, Found] = {}
    with contextlib.chdir(project), KedroSession.create(
        project, runtime_params=_nest(parameters)
    ) as session:  # fmt: skip
        catalog = session.load_context().catalog  # type: ignore[attr-defined]
        pipeline = pipelines["__default__"]
        # The catalog does not change here; to resolve each entry anew is half of the time.
        entry = cache(partial(read_entry, catalog))
        with patch.object(mlic.runners.node_cache, "read_entry", lambda _, name: entry(name)):
            for number, file in enumerate(files_of(project)):
                valid, random = file.read_bytes(), Random(seed + number)
                outcomes = found.setdefault(kind_of(file), Found())
                with _restored(file):
                    for _ in range(times):
                        changed = mutate_bytes(valid, random)
                        file.write_bytes(changed)
                        _judge(file, changed == valid, catalog, pipeline, outcomes)
    return found


@contextlib.contextmanager
def _restored(file: Path) -> Iterator[None]:
    content, status = file.read_bytes(), file.stat()
    try:
        yield
    finally:
        file.write_bytes(content)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def _judge(file: Path, is_same: bool, catalog: Any, pipeline: Any, outcomes: Found) -> None:
    try:
        noticed = bool(filter_stale_nodes(pipeline, catalog).nodes)
        if "store" in file.parts:
            noticed = noticed and _store_is_right(file)
        elif ".records" not in file.parts:
            with contextlib.suppress(MlicError, DatasetError):
                _load(file, catalog)
    except Exception as error:
        outcomes.tracebacks.append(f"{file.name}: {type(error).__name__}: {error}")
        return
    if noticed:
        outcomes.noticed += 1
    elif is_same or ".records" in file.parts:
        outcomes.harmless += 1
    else:
        outcomes.silent.append(file.name)


def _load(file: Path, catalog: Any) -> None:
    cache = NodeCache(catalog)
    for name in list(catalog.config_resolver.config):
        if "{" not in name and any(file.is_relative_to(p) for p in cache._entry(name).paths):
            catalog.load(name)


_originals: dict[Path, tuple[Any, Any]] = {}  # what the stores had before any damage


def remember_stores(project: Path) -> None:
    """Read every artifact of the stores while it is whole."""
    for file in (project / "data").rglob("store/**/*.safetensors"):
        from mlic.caching.tensors import load_tensors

        tensors, metadata = load_tensors(file)
        _originals[file] = tensors, json.loads(metadata["components"])
    for file in (project / "data").rglob("store/**/*.npy"):
        from mlic.caching.memmap import open_memmap

        array, description = open_memmap(file)
        _originals[file] = np.array(array), description["components"]


def _store_is_right(file: Path) -> bool:
    """Whether the store gives what it had, or nothing, so that it is made again."""
    whole = file if file in _originals else file.with_suffix(".npy")
    original, components = _originals[whole]
    store = ArtifactStore(whole.parent, "store")
    if whole.suffix == ".npy":
        from mlic.caching.blocks import read_rows
        from mlic.caching.memmap import open_memmap

        if store.find(whole.stem, components) is None:
            return True
        return bool(np.array_equal(read_rows(open_memmap(whole)[0]), original))
    given = store.load(whole.stem, components)
    return given is None or all(np.array_equal(given[0][name], original[name]) for name in original)


def damage_runs(project: Path, times: int, seed: int) -> tuple[Found, Counter[str]]:
    """Damage a file at random, run the same command, and compare its figures; so many times."""
    reference, random = figures(project), Random(seed)
    found, kinds = Found(), Counter[str]()
    for _ in range(times):
        file = random.choice(files_of(project))
        valid = file.read_bytes()
        changed = mutate_bytes(valid, random)
        file.write_bytes(changed)
        kinds[kind_of(file)] += 1
        ended = run(project)
        if "Traceback" in ended.stderr or "Traceback" in ended.stdout:
            found.tracebacks.append(f"{file.name}: {ended.stderr[-400:]}")
        if ended.returncode:  # one error: its cure, as the message names it, then the same command
            for named in _named_files(ended, project):
                named.unlink()
            ended = run(project)
        if ended.returncode or figures(project) != reference:
            found.silent.append(f"{file.name}: {ended.stderr[-200:]}")
        elif changed == valid:
            found.harmless += 1
        else:
            found.noticed += 1
    return found, kinds


def _named_files(ended: subprocess.CompletedProcess[str], project: Path) -> list[Path]:
    """Files under ``data`` whose path is in the message of a run that failed."""
    text = ended.stdout + ended.stderr
    return [file for file in files_of(project) if file.relative_to(project).as_posix() in text]


def _nest(flat: dict[str, str]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, text in flat.items():
        *sections, last = key.split(".")
        tree = nested
        for section in sections:
            tree = tree.setdefault(section, {})
        tree[last] = float(text) if "." in text else int(text)
    return nested

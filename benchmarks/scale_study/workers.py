"""Separate teachers on several workers of one machine, and what a node costs beside its work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from kill_study.project import make_database, make_project
from trainings import load

from mlic.training.checkpoint import load_checkpoint

__all__ = ["measure_images", "measure_overhead", "measure_workers"]

COMMON = {
    "teachers.mode": "separate",
    "training.threads": 1,
    "training.teacher_epoch_factor": 1,
    "training.compile": False,
}
BEFORE = "data_preparation,label_statistics,graph_partition"
PARTS = {"few": 2, "many": 6}  # K; two strategies are 2K teachers

Row = dict[str, Any]


@dataclass(frozen=True)
class Teachers:
    """Teachers that were trained by one run."""

    seconds: float  # of the run, without what it takes when nothing is left to do
    trainings: list[float]  # seconds of each training

    @property
    def number(self) -> int:
        """How many there are."""
        return len(self.trainings)


def measure_workers(folder: Path, images: int, epochs: int, workers: list[int]) -> list[Row]:
    """The same 2K teachers on more and more workers; first one after the other."""
    size = {"synthetic.num_images": images, "training.epochs": epochs}
    prepared = prepare(folder / "prepared", size | {"partition.num_parts": PARTS["few"]})
    alone = train(prepared, folder / "alone", 0)
    rows = [_row("none, one after the other", alone, alone, 1)]
    for number in workers:
        found = train(prepared, folder / f"workers_{number}", number)
        rows.append(_row(str(number), found, alone, number))
    return rows


def measure_overhead(folder: Path, repeats: int) -> list[Row]:
    """Seconds of a node whose training does almost nothing: one epoch of very few images.

    More teachers in a run take more time, of which the start of the run is no part.
    """
    size = {"synthetic.num_images": 80, "training.epochs": 1}
    prepared = {
        name: prepare(folder / name, size | {"partition.num_parts": parts})
        for name, parts in PARTS.items()
    }
    rows = []
    for runner, workers in {"SequentialRunner": 0, "ParallelRunner": 1}.items():
        nodes = []
        for number in range(repeats):
            few, many = (
                train(one, folder / f"{runner}_{name}_{number}", workers)
                for name, one in prepared.items()
            )
            nodes.append((many.seconds - few.seconds) / (many.number - few.number))
        rows.append({"table": "overhead", "runner": runner, "node s": median(nodes)})
    return rows


def measure_images(folder: Path, images: list[int], epochs: int) -> list[Row]:
    """Seconds of the same teachers with more and more images."""
    rows = []
    for number in images:
        size = {"synthetic.num_images": number, "training.epochs": epochs}
        prepared = prepare(folder / f"{number}", size | {"partition.num_parts": PARTS["few"]})
        found = train(prepared, folder / f"{number}_trained", 0)
        row = {"table": "images", "images": number, "teachers": found.number, "load": load()}
        rows.append({**row, "run s": found.seconds, "trainings s": sum(found.trainings)})
    return rows


def prepare(project: Path, size: Row) -> tuple[Path, str]:
    """A project with images, statistics and partitions; and the parameters of its runs."""
    project.parent.mkdir(parents=True, exist_ok=True)
    database, _ = make_database(project.parent / f"{project.name}_database")
    make_project(project, database)
    params = ",".join(f"{key}={value}" for key, value in (COMMON | size).items())
    run(project, BEFORE, 0, params)
    return project, params


def train(prepared: tuple[Path, str], copy: Path, workers: int) -> Teachers:
    """Train the teachers of a prepared project in a copy of it."""
    project, params = prepared
    shutil.copytree(project, copy)
    seconds = run(copy, "teacher_training", workers, params)
    again = run(copy, "teacher_training", workers, params)  # every node is up to date
    files = sorted((copy / "data").rglob("trained/teachers.*.safetensors"))
    found = [load_checkpoint(file).info.seconds for file in files]
    shutil.rmtree(copy)
    return Teachers(seconds - again, found)


def run(project: Path, pipelines: str, workers: int, params: str) -> float:
    """Run pipelines in a process of their own; the seconds without its start."""
    script = Path(__file__).with_name("run_pipeline.py")
    command = [sys.executable, str(script), str(project), pipelines, str(workers), params]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def _row(name: str, found: Teachers, alone: Teachers, workers: int) -> Row:
    able = min(workers, os.cpu_count() or 1)
    # No schedule can be shorter than the work of a core, or than the longest training.
    ideal = max(alone.seconds / able, alone.seconds / alone.number)
    return {
        "table": "workers",
        "workers": name,
        "teachers": found.number,
        "seconds": found.seconds,
        "ideal s": ideal,
        "speed-up": alone.seconds / found.seconds,
        "of ideal": ideal / found.seconds,
        "load": load(),
    }

"""Seconds that mlic adds to the start of Kedro, measured against a bare project side by side.

    python benchmarks/startup.py [--quick] [--write]

The bare project is made in a temporary folder: a chain of as many nodes that pass on a JSON file,
with no library but Kedro's own. "registry list" is that command. "up-to-date run" is `kedro run`
of a project in which nothing has changed since its last run (synthetic scenes, one epoch, small).
The bare project has nothing to do either, by Kedro's own --only-missing-outputs, which asks only
whether files exist. Seconds are the wall time of the whole command. "imports" are the training
libraries that it imported, in a run of its own. On both sides Python finds the bytecode of an
earlier command, as users do; without it, Python would compile all modules at every start.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from common import ROOT, Claim, emit

GOAL = 0.5
HEAVY = ("torch", "mlflow", "timm")
COMMANDS = {"registry list": ["registry", "list"], "up-to-date run": ["run"]}
SMALL = (
    "synthetic.num_images=120,partition.num_parts=2,training.epochs=1,training.batch_size=16,"
    "training.threads=1,explain.images=4"
)
IDLE = {"ours": ["--params", SMALL], "bare": ["--only-missing-outputs"]}
KEDRO = [sys.executable, "-m", "kedro"]
NODES = (
    "from mlic.pipeline_registry import register_pipelines as register;"
    "print(len(register()['__default__'].nodes))"
)

Row = dict[str, Any]


def main() -> None:
    options = parse()
    with TemporaryDirectory() as folder:
        ours, bare = Path(folder) / "ours", Path(folder) / "bare"
        copy_project(ours)
        nodes = int(_call([sys.executable, "-c", NODES], ours).stdout)
        make_bare(bare, nodes)
        for side, project in {"ours": ours, "bare": bare}.items():
            for command in COMMANDS:  # makes the data and the bytecode
                _call([*KEDRO, *_words(command, side)], project)
        rows = [
            measure(command, pair, ours, bare, nodes)
            for pair in range(1 if options.quick else 9)
            for command in COMMANDS
        ]
    emit(__file__, rows, check_claims(rows), options.write)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one pair")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    return parser.parse_args()


def check_claims(rows: list[Row]) -> list[Claim]:
    """Compare the medians of the rows with the goals."""
    claims = []
    for command in COMMANDS:
        own = [row for row in rows if row["command"] == command]
        added = statistics.median(row["ours s"] - row["bare s"] for row in own)
        name = f"kedro {command}: seconds added to a bare project"
        claims.append(Claim(name, added, "s", f"<= {GOAL}", added <= GOAL))
        number = max(len(row["imports"].split()) for row in own)
        name = f"kedro {command}: libraries of training imported ({', '.join(HEAVY)})"
        claims.append(Claim(name, number, "libraries", "= 0", number == 0))
    return claims


def copy_project(folder: Path) -> None:
    """Copy what a run needs; the run makes its data there."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "local")
    for part in ("src", "conf"):
        shutil.copytree(ROOT / part, folder / part, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "conf" / "local").mkdir()


def make_bare(folder: Path, nodes: int) -> None:
    """Write a Kedro project with a chain of nodes."""
    catalog = "\n".join(
        f"step_{i}: {{type: json.JSONDataset, filepath: data/{i}.json}}" for i in range(nodes + 1)
    )
    registry = (
        "from kedro.pipeline import Node, Pipeline\n\n\ndef keep(step):\n    return step\n\n\n"
        "def register_pipelines():\n"
        "    steps = [Node(keep, f'step_{i}', f'step_{i + 1}', name=f'keep_{i}')"
        f" for i in range({nodes})]\n"
        "    return {'__default__': Pipeline(steps)}\n"
    )
    project = (
        '[tool.kedro]\npackage_name = "bare"\nproject_name = "bare"\n'
        'kedro_init_version = "1.7.0"\nsource_dir = "src"\n'
    )
    files = {
        "pyproject.toml": project,
        "conf/base/catalog.yml": catalog,
        "conf/base/parameters.yml": "{}",
        "conf/local/.gitkeep": "",
        "data/0.json": "{}",
        "src/bare/__init__.py": "",
        "src/bare/settings.py": "",
        "src/bare/pipeline_registry.py": registry,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def measure(command: str, pair: int, ours: Path, bare: Path, nodes: int) -> Row:
    """Time one command in both projects, the bare one first."""
    seconds = {}
    for side, folder in {"bare": bare, "ours": ours}.items():
        start = time.perf_counter()
        _call([*KEDRO, *_words(command, side)], folder)
        seconds[f"{side} s"] = time.perf_counter() - start
    return {
        "command": command,
        "pair": pair,
        "nodes": nodes,
        **seconds,
        "imports": " ".join(_imports(command, ours)) if not pair else "",
        "load": round(os.getloadavg()[0], 2),
    }


def _words(command: str, side: str) -> list[str]:
    if command != "up-to-date run":
        return COMMANDS[command]
    return [*COMMANDS[command], *IDLE[side]]


def _imports(command: str, folder: Path) -> list[str]:
    """Heavy libraries that the command imported, according to Python's -X importtime."""
    report = _call(
        [sys.executable, "-X", "importtime", *KEDRO[1:], *_words(command, "ours")], folder
    )
    imported = {line.rpartition("|")[2].strip() for line in report.stderr.splitlines()}
    return [name for name in HEAVY if name in imported]


def _call(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    own = {
        "KEDRO_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": str(folder / "src"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(folder.parent / "bytecode"),
    }
    done = subprocess.run(
        words, cwd=folder, env=os.environ | own, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{json.dumps(words)} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done


if __name__ == "__main__":
    main()

"""A user's loop, lightly-train and mlic: the same images, weights, epochs and batch.

    python benchmarks/peers.py --corel FOLDER --weights FILE --lightly PYTHON --write

Corel5k's words that at least 7 training images have, as JPEG files, on a fixed split of our own;
"as they are" 192 × 128 pixels, "enlarged" to 640 pixels, as large as the files of COCO. The sides
are the scripts of `peers_study`: the same crops and mirrors, every epoch judged on the validation
images. Each has the learning rate of `RATES` with the best validation mAP of seed 0, searched on
the files as they are; loss, optimiser and schedule are each side's own: binary cross-entropy and
one cycle of AdamW for the loop, lightly-train's and mlic's defaults. lightly-train 0.18 cannot
train a MobileNetV2 (its classifier expects 1,280 features, its wrapper gives 112): it takes part
with a ResNet-10 from random weights.

"images/s" is training images a second between a short and a long training, so that what a side does
once does not count; "wall s" is the whole command, with everything. "memory MB" is the highest
proportional set size of all its processes. Sides run in turns.
"""

from __future__ import annotations

import argparse
import csv
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from common import ROOT, Claim, emit
from gain.datasets import load_corel
from PIL import Image
from trainings import load

from mlic.evaluation.metrics import mean_average_precision
from mlic.images.records import ImageRecords

SCRIPTS = Path(__file__).with_name("peers_study")
SIDES = {
    "timm loop": "timm_loop.py",
    "lightly-train": "lightly_train_task.py",
    "mlic": "mlic_run.py",
}
RATES = (3e-4, 1e-3, 3e-3)
SPLITS = ("train", "validation", "test")
STUDIES = (  # backbone, whether it starts from the weights, files
    ("mobilenetv2_035", True, "as they are"),
    ("mobilenetv2_035", True, "enlarged"),
    ("resnet10t", False, "as they are"),
)
FEWEST = 7  # training images of a word that is learned
ENLARGED = 640  # pixels of the longer side
GOAL = 1.2

Row = dict[str, Any]


def main() -> None:
    """Measure all sides, print and write."""
    options = parse()
    rows: list[Row] = []
    rates: dict[tuple[str, str], float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for backbone, pretrained, files in STUDIES:
            folder = Path(scratch, files.replace(" ", "_"))
            states = write_files(load_corel(options.corel), folder, files, options.images)
            weights = str(options.weights.resolve()) if pretrained else "none"
            study = Study(backbone, weights, folder, states, options)
            rows += [{"backbone": backbone, "files": files, **row} for row in study.compare(rates)]
    emit(__file__, rows, check_claims(rows), options.write)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corel", type=Path, required=True, help="folder of corel5k_train.parquet")
    parser.add_argument("--weights", type=Path, required=True, help="ImageNet weights")
    parser.add_argument("--lightly", type=Path, help="a Python that has lightly-train; or none")
    parser.add_argument("--images", type=int, help="training images, by default all 3,000")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=3, help="measurements of every side")
    parser.add_argument("--quick", action="store_true", help="few images, one measurement")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    options = parser.parse_args()
    options.rates = RATES
    if options.quick:
        vars(options).update(images=96, epochs=2, pairs=1, rates=RATES[-1:])
    return options


def write_files(raw: ImageRecords, folder: Path, files: str, number: int | None) -> dict[str, Any]:
    """Write images and tables as a user has them; return states by split, shape (n, C)."""
    folder.mkdir(parents=True, exist_ok=True)
    present, split = raw.labels.states == 1, np.asarray(raw.labels.split)
    rows = {name: np.flatnonzero(split == name)[:number] for name in SPLITS}
    columns = np.flatnonzero(present[rows["train"]].sum(axis=0) >= FEWEST)
    # One side leaves out images without labels; so that all have the same, nobody is given them.
    rows = {name: own[present[own][:, columns].any(axis=1)] for name, own in rows.items()}
    names = [raw.labels.space.names[column].replace(" ", "_") for column in columns]
    (folder / "classes.txt").write_text("\n".join(names), encoding="utf-8")
    tables: dict[str, list[tuple[str, str]]] = {}
    for name, own in rows.items():
        for row in own:
            content = raw.sources[row]
            assert isinstance(content, bytes)
            changed = _enlarge(content) if files == "enlarged" else content
            (folder / f"{row}.jpg").write_bytes(changed)
        listed = [";".join(names[c] for c in np.flatnonzero(present[row, columns])) for row in own]
        tables[name] = [(f"{row}.jpg", text) for row, text in zip(own, listed, strict=True)]
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow(("path", "labels", "split"))
        csv.writer(file).writerows((*r, name) for name, table in tables.items() for r in table)
    for name, table in tables.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("path", "labels"), *table])
    return {name: present[own][:, columns].astype(np.int8) for name, own in rows.items()}


def _enlarge(content: bytes) -> bytes:
    image, file = Image.open(BytesIO(content)), BytesIO()
    scale = ENLARGED / max(image.size)
    image.resize([round(scale * n) for n in image.size]).save(file, "JPEG", quality=90)
    return file.getvalue()


@dataclass(frozen=True)
class Study:
    """One backbone on one folder of files."""

    backbone: str
    weights: str
    folder: Path
    states: Mapping[str, Any]
    options: argparse.Namespace

    def compare(self, rates: dict[tuple[str, str], float]) -> list[Row]:
        """Rows of all sides, in turns; learning rates that are not known yet are chosen first."""
        with_lightly = self.options.lightly and self.weights == "none"
        sides = [side for side in SIDES if side != "lightly-train" or with_lightly]
        for side in sides:
            if (self.backbone, side) not in rates:
                rates[self.backbone, side] = self.choose_rate(side)
        rows, epochs, number = [], self.options.epochs, len(self.states["train"])
        for seed in range(1, self.options.pairs + 1):
            for side in sides:
                rate = rates[self.backbone, side]
                short, whole = (self.run(side, rate, n, seed) for n in (1, epochs))
                speed = number * (epochs - 1) / (whole["wall s"] - short["wall s"])
                lines = count_lines(SCRIPTS / SIDES[side])
                about = {"side": side, "seed": seed, "rate": rate, "lines": lines}
                rows.append({**about, "images/s": speed, **whole, "load": load()})
        return rows

    def choose_rate(self, side: str) -> float:
        """Search the learning rate by validation mAP of seed 0."""
        epochs = self.options.epochs
        found = {r: self.run(side, r, epochs, 0)["validation"] for r in self.options.rates}
        return max(found, key=lambda rate: found[rate])

    def run(self, side: str, rate: float, epochs: int, seed: int) -> Row:
        """One whole command: mAP in percent, seconds, and the most memory in MB."""
        options, log = self.options, self.folder / "log.txt"
        python = str(options.lightly) if side == "lightly-train" else sys.executable
        sizes = [epochs, options.batch_size, options.image_size, rate, seed]
        given = [self.folder, self.backbone, self.weights, *sizes]
        command = [python, str(SCRIPTS / SIDES[side]), *map(str, given)]
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        with tempfile.TemporaryDirectory() as place, log.open("w", encoding="utf-8") as file:
            if side == "mlic":
                make_project(Path(place))
            start, used = time.perf_counter(), _processor_seconds()
            process = psutil.Popen(command, cwd=place, stdout=file, stderr=file)
            memory = _watch(process)
            seconds, used = time.perf_counter() - start, _processor_seconds() - used
        if process.returncode:
            raise SystemExit(log.read_text(encoding="utf-8")[-3000:])
        judged = {s: _score(self.folder / f"{s}.npy", self.states[s]) for s in SPLITS[1:]}
        return {"validation": judged["validation"], "mAP": judged["test"], "wall s": seconds,
                "processor s": used, "memory MB": memory}  # fmt: skip


def make_project(folder: Path) -> None:
    """Copy the project without its data, as a user has it."""
    shutil.copytree(ROOT / "conf", folder / "conf")
    (folder / "src").mkdir()
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, folder)


def _watch(process: psutil.Popen) -> float:
    most = 0
    while process.poll() is None:
        try:
            tree = [process, *process.children(recursive=True)]
            most = max(most, sum(one.memory_full_info().pss for one in tree))
        except psutil.Error:  # one of them has just ended
            pass
        time.sleep(0.5)
    return most / 1e6


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _score(file: Path, states: Any) -> float:
    logits = np.load(file)
    file.unlink()
    return float(100 * mean_average_precision(logits, states))


def count_lines(script: Path) -> int:
    """Lines of a script that are code."""
    lines = script.read_text(encoding="utf-8").split('"""', 2)[2].splitlines()
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in lines)


def check_claims(rows: list[Row]) -> list[Claim]:
    """What the raw rows say."""
    claims = []
    for study in dict.fromkeys((row["backbone"], row["files"]) for row in rows):
        own = [row for row in rows if (row["backbone"], row["files"]) == study]
        seeds, name = sorted({row["seed"] for row in own}), f"{study[0]}, files {study[1]}"
        for column, unit, what in (("images/s", "x", "images a second"), ("mAP", "points", "mAP")):
            middle = {
                side: float(np.median([row[column] for row in own if row["side"] == side]))
                for side in dict.fromkeys(row["side"] for row in own)
            }
            ours = middle.pop("mlic")
            best = max(middle, key=lambda side: middle[side])
            if column == "mAP":
                found, goal, holds = ours - middle[best], ">= 0", ours >= middle[best]
                label = f"{what}, mlic - {best}: {name}"
            else:
                found = ours / middle[best]
                goal, holds, label = f">= {GOAL}", found >= GOAL, f"{what}, mlic / {best}: {name}"
            claims.append(Claim(label, found, unit, goal, holds, seeds))
    return claims


if __name__ == "__main__":
    main()

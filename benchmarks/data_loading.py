"""Whether images keep a training waiting: the loop against bare steps, the store against JPEGs.

    python benchmarks/data_loading.py [--quick] [--write] [--backbone NAME] [--jpegs FOLDER] …

"bare" is forward, loss, backward and optimiser step of the same model on batches that are made
already and stay in memory; "loop" is an epoch of `mlic.training.fit` that reads a memory-mapped
store, renders views, averages weights and moves the schedule: all that an epoch is but for the
judging on validation, which is in neither. "store" is what that loop does to get its batches, one
after the other, with the threads of the training; "jpegs" is the second epoch of a PyTorch
DataLoader, its workers still alive, that decodes, crops, mirrors and normalises with torchvision.
What decoding into the store cost, once, is in neither. Without a folder of JPEGs, some are made.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from common import ROOT, Claim, emit
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2
from trainings import Bench, load, median_ratio, scratch, seconds

from mlic.training.fit import _Training

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOP_GOAL, STORE_GOAL = 1.05, 3.0
FIXED = {"views": 4, "labels": 80, "parts": 5, "width": 8}
QUICK = {"backbone": "resnet10t", "image_size": 64, "images": 64, "pairs": 1}
QUICK |= {"workers": 1, "threads": 1}

Row = dict[str, Any]


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    with scratch() as folder:
        bench = make_bench(options, folder)
        files = find_jpegs(options.jpegs, folder, options.images)
        rows = measure(bench, files)
    emit(__file__, rows, judge(rows), options.write)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet50", help="a timm model")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--pairs", type=int, default=5, help="measurements of every side")
    parser.add_argument("--threads", type=int, default=4, help="of training and rendering")
    parser.add_argument("--workers", type=int, default=4, help="processes that decode JPEGs")
    parser.add_argument("--jpegs", type=Path, default=ROOT.parent / "shared" / "data" / "coco128")
    parser.add_argument("--quick", action="store_true", help="a small model, one measurement")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    options = parser.parse_args()
    vars(options).update(FIXED | (QUICK if options.quick else {}))
    options.epochs = options.pairs + 2  # the schedule must not end before the measurement
    return options


def judge(rows: list[Row]) -> list[Claim]:
    """What the raw rows say."""
    loop = median_ratio(rows, "loop s", "bare s")
    store = 1 / median_ratio(rows, "store s", "jpegs s")
    return [
        Claim("training loop / bare steps on resident tensors", loop, "x", f"<= {LOOP_GOAL}",
              loop <= LOOP_GOAL, [0]),
        Claim("decoding JPEGs in workers / loading from the store, second epoch", store, "x",
              f">= {STORE_GOAL}", store >= STORE_GOAL, [0]),
    ]  # fmt: skip


def make_bench(options: argparse.Namespace, folder: Path) -> Bench:
    """The images of a training, in a store on disk."""
    made = Bench.make(options)
    return Bench(options, made.images.save(folder / "store"), made.labels)


def find_jpegs(folder: Path, scratch_folder: Path, number: int) -> list[Path]:
    """As many files as images: those of a folder over and over, or made ones."""
    found = sorted(folder.rglob("*.jpg")) or [*_make_jpegs(scratch_folder)]
    return [found[i % len(found)] for i in range(number)]


def _make_jpegs(folder: Path) -> Sequence[Path]:
    """COCO's size, and about as many bytes: smooth noise."""
    rng, paths = np.random.default_rng(0), [folder / f"{i}.jpg" for i in range(16)]
    for path in paths:
        coarse = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))
        coarse.resize((640, 480), Image.Resampling.BICUBIC).save(path, quality=90)
    return paths


def measure(bench: Bench, files: list[Path]) -> list[Row]:
    """Pairs of all four sides; the first warms up and starts the workers."""
    training = _Training(bench.job("baseline"))
    resident = [render(training, batch) for batch in list(training._batches())]
    loader = decoding_loader(files, bench.size)
    silent: Any = SimpleNamespace(update=lambda number: None)
    size = round(float(np.mean([file.stat().st_size for file in files])) / 1000)
    sides = {
        "bare s": lambda epoch: bare_epoch(training, resident),
        "loop s": lambda epoch: training._learn(epoch, silent),
        "store s": lambda epoch: [render(training, batch) for batch in training._batches()],
        "jpegs s": lambda epoch: sum(len(images) for images in loader),
    }
    rows = []
    for pair in range(bench.size.pairs + 1):
        order = list(sides.items())[:: 1 if pair % 2 else -1]  # neither side always goes first
        times = {name: seconds(partial(side, pair + 1)) for name, side in order}
        times = {name: times[name] for name in sides}
        about = {"backbone": bench.size.backbone, "side": bench.size.image_size, "pair": pair}
        about |= {"images": len(files), "KB a JPEG": size}
        rows.append({**about, **times, "threads": bench.size.threads, "load": load()})
    return rows[1:]


def render(training: _Training, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and states of a batch, as the loop makes them."""
    pixels = training._read(batch, 1)
    states = torch.from_numpy(training.job.labels.states[training.job.train_rows[batch]])
    return training._see(batch, pixels, 1), training.fabric.to_device(states)


def bare_epoch(training: _Training, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Nothing but forward, loss, backward and step."""
    training.module.train()
    for images, states in batches:
        loss, _ = training.objective(training.module(images), states)
        training.fabric.backward(loss)
        training.optimiser.step()
        training.optimiser.zero_grad(set_to_none=True)


class _Files(Dataset[torch.Tensor]):
    """JPEGs, decoded each time they are asked for."""

    def __init__(self, files: list[Path], size: int) -> None:
        self.files = files
        self.transform = v2.Compose(
            [
                v2.RandomResizedCrop(size, scale=(0.6, 1.0), antialias=True),
                v2.RandomHorizontalFlip(),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.files[index]) as image:
            return self.transform(image.convert("RGB"))


def decoding_loader(files: list[Path], size: argparse.Namespace) -> DataLoader[torch.Tensor]:
    return DataLoader(
        _Files(files, size.image_size),
        batch_size=size.batch_size,
        shuffle=True,
        num_workers=size.workers,
        persistent_workers=True,
    )


if __name__ == "__main__":
    main()

"""The training loop costs at most 1.05 times its bare steps; the store is 3 times as fast as JPEGs.

    python benchmarks/data_loading.py [--quick] [--write] [--backbone NAME] [--jpegs FOLDER] …

"bare" is forward, loss, backward and optimiser step of the same model on batches that are prepared
in advance and stay in memory. "loop" is an epoch of `mlic.training.fit`, which reads a
memory-mapped store, prepares views, averages weights and moves the schedule; the evaluation on
validation images is in neither. "store" is what that loop does to get its batches, one after the
other, with the threads of the training. "jpegs" is the second epoch of a PyTorch DataLoader, with
its workers still alive, that decodes, crops, mirrors and normalises with torchvision. The cost of
decoding into the store, once, is in neither. Without a folder of JPEGs, some are made.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ROOT, Claim, emit
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2
from trainings import Bench, SteppedTraining, load, median_ratio, scratch, timed

from mlic.images.store import ImageStore
from mlic.training.batch import Batch
from mlic.training.train import make_task

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
    emit(__file__, rows, check_claims(rows), options.write)


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


def check_claims(rows: list[Row]) -> list[Claim]:
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
    inputs = Bench.make(options).inputs
    inputs["images"].save(folder / "store")
    return Bench(options, {**inputs, "images": ImageStore.open(folder / "store")})


def find_jpegs(folder: Path, scratch_folder: Path, number: int) -> list[Path]:
    """As many files as images: those of a folder repeatedly, or made ones."""
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
    training = SteppedTraining(make_task(bench.job("baseline")))
    resident = read_epoch(training)
    loader = decoding_loader(files, bench.size)
    size = round(float(np.mean([file.stat().st_size for file in files])) / 1000)
    sides: dict[str, Callable[[], float]] = {
        "bare s": lambda: timed(bare_epoch, training, resident)[1],
        "loop s": training.run_epoch,
        "store s": lambda: timed(read_epoch, training)[1],
        "jpegs s": lambda: timed(lambda: sum(len(images) for images in loader))[1],
    }
    rows = []
    for pair in range(bench.size.pairs + 1):
        order = list(sides.items())[:: 1 if pair % 2 else -1]  # neither side always goes first
        times = {name: side() for name, side in order}
        times = {name: times[name] for name in sides}
        about = {"backbone": bench.size.backbone, "side": bench.size.image_size, "pair": pair}
        about |= {"images": len(files), "KB a JPEG": size}
        rows.append({**about, **times, "threads": bench.size.threads, "load": load()})
    return rows[1:]


def read_epoch(training: SteppedTraining) -> list[Batch]:
    """All batches of an epoch, as the loop gets them."""
    return list(training.data.batches(1, np.random.default_rng(0), training.state.fabric))


def bare_epoch(training: SteppedTraining, batches: list[Batch]) -> None:
    """Forward, loss, backward and step, and nothing else."""
    (learner,), fabric = training.state.learners, training.state.fabric
    learner.module.train()
    for batch in batches:
        loss, _ = training.task.loss(0, learner.module, batch)
        fabric.backward(loss)
        learner.optimiser.step()
        learner.optimiser.zero_grad(set_to_none=True)


class _Files(Dataset[torch.Tensor]):
    """JPEGs, decoded each time they are read."""

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

"""Does reading images slow a training down? The loop against bare steps, the store against JPEGs.

    python benchmarks/data_loading.py [--quick] [--write] [--backbone NAME] [--jpegs FOLDER] …

"bare" is forward, loss, backward and optimiser step of the same model on batches that stay in
memory. "loop" is an epoch of `mlic.training.fit`, which reads a memory-mapped store, preprocesses
views, averages weights and updates the schedule; it has no validation images, because evaluation
is in neither side. "store" reads the batches of such an epoch alone, with the threads of the
training. "jpegs" is the second epoch of a PyTorch DataLoader with persistent workers, which
decodes, crops, mirrors and normalises with torchvision. Decoding into the store, which is done
once, is in neither. Without a folder of JPEGs, some are created.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from common import ROOT, Claim, emit
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2
from trainings import Bench, load, median_ratio, scratch, seconds

from mlic.images.store import ImageStore
from mlic.labels import LabelMatrix
from mlic.training.fit import fit
from mlic.training.job import TrainingJob
from mlic.training.state import TrainingState
from mlic.training.tasks.classification import ClassificationTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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
    parser.add_argument("--threads", type=int, default=4, help="threads of the training")
    parser.add_argument("--workers", type=int, default=4, help="processes that decode JPEGs")
    parser.add_argument("--jpegs", type=Path, default=ROOT.parent / "shared" / "data" / "coco128")
    parser.add_argument("--quick", action="store_true", help="a small model, one measurement")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    options = parser.parse_args()
    vars(options).update(FIXED | (QUICK if options.quick else {}))
    options.epochs = options.pairs + 2  # the schedule must not end during the measurement
    return options


def judge(rows: list[Row]) -> list[Claim]:
    """Compute the claims from the rows."""
    loop = median_ratio(rows, "loop s", "bare s")
    store = 1 / median_ratio(rows, "store s", "jpegs s")
    return [
        Claim("training loop / bare steps on resident tensors", loop, "x", f"<= {LOOP_GOAL}",
              loop <= LOOP_GOAL, [0]),
        Claim("decoding JPEGs in workers / loading from the store, second epoch", store, "x",
              f">= {STORE_GOAL}", store >= STORE_GOAL, [0]),
    ]  # fmt: skip


def make_bench(options: argparse.Namespace, folder: Path) -> Bench:
    """Make the images of a training in a store on disk, and their labels without validation."""
    made = Bench.make(options)
    split = np.where(made.labels.split == "train", "train", "test")
    labels = LabelMatrix(made.labels.space, made.labels.ids, made.labels.states, split)
    made.images.save(folder / "store")
    return Bench(options, ImageStore.open(folder / "store"), labels)


def find_jpegs(folder: Path, scratch_folder: Path, number: int) -> list[Path]:
    """List as many files as images: those of a folder, repeated if necessary, or created ones."""
    found = sorted(folder.rglob("*.jpg")) or [*_make_jpegs(scratch_folder)]
    return [found[i % len(found)] for i in range(number)]


def _make_jpegs(folder: Path) -> Sequence[Path]:
    """Write smooth noise of the size of COCO's images, in about as many bytes."""
    rng, paths = np.random.default_rng(0), [folder / f"{i}.jpg" for i in range(16)]
    for path in paths:
        coarse = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))
        coarse.resize((640, 480), Image.Resampling.BICUBIC).save(path, quality=90)
    return paths


def measure(bench: Bench, files: list[Path]) -> list[Row]:
    """Measure all four sides in pairs; the first pair warms up and starts the workers."""
    training = Training(bench.job("baseline"))
    loader = decoding_loader(files, bench.size)
    size = round(float(np.mean([file.stat().st_size for file in files])) / 1000)
    sides: dict[str, Callable[[], None]] = {
        "bare s": training.run_bare_steps,
        "loop s": training.run_epoch,
        "store s": training.read_epoch,
        "jpegs s": lambda: exhaust(loader),
    }
    rows = []
    for pair in range(bench.size.pairs + 1):
        order = list(sides.items())[:: 1 if pair % 2 else -1]  # no side always runs first
        times = {name: seconds(side) for name, side in order}
        times = {name: times[name] for name in sides}
        about = {"backbone": bench.size.backbone, "side": bench.size.image_size, "pair": pair}
        about |= {"images": len(files), "KB a JPEG": size}
        rows.append({**about, **times, "threads": bench.size.threads, "load": load()})
    return rows[1:]


class Training:
    """A training of the product, one epoch at a time."""

    def __init__(self, job: TrainingJob) -> None:
        self.task, self.options = ClassificationTask(job), job.options
        self.state = TrainingState(self.task, job.options)
        self.data = self.task.make_data()
        self.order = np.random.default_rng(0)
        self.resident = [*self.data.batches(1, self.order, self.state.fabric)]

    def run_bare_steps(self) -> None:
        """Do nothing but forward, loss, backward and step, for all batches in memory."""
        (learner,) = self.state.learners
        learner.module.train()
        for batch in self.resident:
            loss, _ = self.task.loss(0, learner.module, batch)
            self.state.fabric.backward(loss)
            learner.optimiser.step()
            learner.optimiser.zero_grad(set_to_none=True)

    def run_epoch(self) -> None:
        """Train for one more epoch."""
        # The schedule was made for all epochs; fit stops after the next one.
        options = self.options.model_copy(update={"epochs": self.state.epoch + 1})
        fit(self.task, self.data, options, self.state, lambda epoch, figures: None)

    def read_epoch(self) -> None:
        """Read and preprocess the batches of an epoch."""
        exhaust(self.data.batches(1, self.order, self.state.fabric))


def exhaust(batches: Iterable[Any]) -> None:
    """Iterate over batches without using them."""
    for _ in batches:
        pass


class _Files(Dataset[torch.Tensor]):
    """JPEG files, decoded each time they are read."""

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

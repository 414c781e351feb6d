"""Two processes with one thread each train about as fast as one process with two threads.

    python benchmarks/scale_out.py [--quick] [--write] [--backbone NAME] …

Three sides train the same model on the same images, one after the other, with the same batch in
all: one process with one thread, one process with two threads, and two processes with one thread
each (`training.devices`). The figure of a side is its median of images per second over the epochs
after the first, without evaluation. "speed-up" divides by the side with one thread; "overhead" is
the time of two processes over that of two threads, which do the same work on the same cores. Start
of the processes and loading of PyTorch are in "start s", once a training. All images are random.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

from common import Claim, emit
from trainings import Bench, load, median_ratio, scratch

from mlic.images.store import ImageStore
from mlic.training.train import make_task, train

SPEED_UP_GOAL, OVERHEAD_GOAL = 1.5, 1.25
SIDES = {"1 thread": (1, 1), "2 threads": (1, 2), "2 processes": (2, 1)}  # devices, threads
FIXED = {"views": 4, "labels": 80, "parts": 5, "width": 8, "threads": 1}
QUICK = {"backbone": "resnet10t", "image_size": 64, "images": 64, "epochs": 3, "pairs": 1}


def main() -> None:
    options = parse()
    rows = []
    for pair in range(options.pairs):
        order = list(SIDES)[:: 1 if pair % 2 else -1]  # neither side always goes first
        measured = {side: measure(options, *SIDES[side]) for side in order}
        rates = {f"{side} images/s": measured[side][0] for side in SIDES}
        about = {"backbone": options.backbone, "side": options.image_size, "pair": pair + 1}
        start = measured["2 processes"][1] - measured["2 threads"][1]
        rows.append({**about, **rates, "start s": start, "load": load()})
    emit(__file__, rows, check_claims(rows), options.write)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet50", help="a timm model")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=16, help="of all processes together")
    parser.add_argument("--epochs", type=int, default=4, help="the first is not counted")
    parser.add_argument("--pairs", type=int, default=3, help="measurements of every side")
    parser.add_argument("--quick", action="store_true", help="a small model, one measurement")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    options = parser.parse_args()
    vars(options).update(FIXED | (QUICK if options.quick else {}))
    return options


def measure(options: argparse.Namespace, devices: int, threads: int) -> tuple[float, float]:
    """Images per second, and seconds outside of the epochs."""
    with scratch() as folder:
        bench = Bench.make(options)
        bench.inputs["images"].save(folder / "store")
        images = ImageStore.open(folder / "store")
        training = bench.inputs["training"].model_copy(
            update={"devices": devices, "threads": threads}
        )
        inputs: dict[str, Any] = {**bench.inputs, "images": images, "training": training}
        start = time.perf_counter()
        (checkpoint,) = train(make_task(Bench(options, inputs).job("baseline")))
        seconds = time.perf_counter() - start - checkpoint.info.seconds
    rates = [figures["images_per_second"] for figures in checkpoint.info.history[1:]]
    return statistics.median(rates), seconds


def check_claims(rows: list[dict[str, Any]]) -> list[Claim]:
    """What the raw rows say."""
    speed_up = median_ratio(rows, "2 processes images/s", "1 thread images/s")
    threads = median_ratio(rows, "2 threads images/s", "1 thread images/s")
    overhead = median_ratio(rows, "2 threads images/s", "2 processes images/s")
    device = f"cpu, {os.cpu_count()} cores"
    return [
        Claim("two processes / one thread", speed_up, "x", f">= {SPEED_UP_GOAL}",
              speed_up >= SPEED_UP_GOAL, [0], device),
        Claim("two threads / one thread", threads, "x", "for comparison", True, [0], device),
        Claim("time of two processes / of two threads", overhead, "x", f"<= {OVERHEAD_GOAL}",
              overhead <= OVERHEAD_GOAL, [0], device),
    ]  # fmt: skip


if __name__ == "__main__":
    main()

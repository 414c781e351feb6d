"""Pictures a second of a training on a GPU against a loop made of timm's own parts.

    python benchmarks/gpu_throughput.py [--quick] [--write] [--compile] …

Not run yet: it wants a GPU, and says so where there is none. Both sides train the same backbone in
bfloat16 and channels last on the same JPEGs, timm's side as its training script puts its parts
together: `create_loader` with its prefetcher, `create_optimizer_v2`, cosine schedule, EMA, binary
cross-entropy. Ours is an epoch of `mlic.training.loop` on a store of the same pictures, which
stays in memory. "peak share" is the model's operations a second, three forward passes a picture,
by those of a large bfloat16 product on the same card.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from common import Claim, emit
from PIL import Image
from trainings import Bench, load, median_ratio, scratch, seconds

from mlic.training.loop import _Training

if TYPE_CHECKING:
    from collections.abc import Callable

GOAL = 1.2
FIXED = {"views": 4, "labels": 80, "parts": 5, "width": 8, "threads": 8}
QUICK = {"pictures": 512, "pairs": 1, "batch_size": 64}

Row = dict[str, Any]


def main() -> None:
    options = parse()
    if not torch.cuda.is_available():
        raise SystemExit("gpu_throughput: not run, PyTorch finds no GPU on this machine")
    with scratch() as folder:
        rows = measure(options, folder)
    emit(__file__, rows, judge(rows), options.write)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet50", help="a timm model")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--pictures", type=int, default=8192)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=3, help="measurements of every side")
    parser.add_argument("--workers", type=int, default=8, help="processes of timm's loader")
    parser.add_argument("--compile", action="store_true", help="compile the model, both sides")
    parser.add_argument("--quick", action="store_true", help="few pictures, one measurement")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    options = parser.parse_args()
    vars(options).update(FIXED | (QUICK if options.quick else {}))
    options.epochs = options.pairs + 2  # the schedule must not end before the measurement
    return options


def judge(rows: list[Row]) -> list[Claim]:
    """What the raw rows say."""
    ratio = 1 / median_ratio(rows, "baseline s", "timm s")
    share = float(np.median([row["peak share"] for row in rows]))
    device = rows[0]["device"]
    return [
        Claim("pictures a second, baseline / a loop of timm's parts", ratio, "x", f">= {GOAL}",
              ratio >= GOAL, [0], device),
        Claim("baseline: share of the card's measured matrix peak", share, "of 1", "stated",
              True, [0], device),
    ]  # fmt: skip


def measure(options: argparse.Namespace, folder: Path) -> list[Row]:
    """Pairs of both sides; the first warms up."""
    bench = Bench.make(options)
    write_jpegs(bench, folder / "jpegs")
    training = _Training(bench.job("baseline"))
    if options.compile:
        training.module.compile()
    silent: Any = SimpleNamespace(update=lambda number: None)
    timm_epoch = make_timm_epoch(bench, folder / "jpegs")
    work, peak = 3 * count_operations(training, options), measure_peak()
    rows = []
    for pair in range(options.pairs + 1):
        times = {
            "timm s": seconds(_finished, timm_epoch),
            "baseline s": seconds(_finished, lambda at=pair: training._learn(at + 1, silent)),
        }
        rate = options.pictures / times["baseline s"]
        row = {"backbone": options.backbone, "side": options.image_size, "pair": pair, **times}
        row |= {"pictures": options.pictures, "peak share": rate * work / peak, "load": load()}
        rows.append({**row, "device": torch.cuda.get_device_name()})
    return rows[1:]


def _finished(side: Callable[[], Any]) -> None:
    side()
    torch.cuda.synchronize()


def write_jpegs(bench: Bench, folder: Path) -> None:
    """The training's pictures as files, in the layout that timm's folder reader knows."""
    (folder / "all").mkdir(parents=True)
    for name, pixels in zip(bench.pictures.ids, bench.pictures.pixels, strict=True):
        Image.fromarray(pixels).save(folder / "all" / f"{name}.jpg", quality=90)


def make_timm_epoch(bench: Bench, folder: Path) -> Callable[[], None]:
    """One epoch as timm's training script has it, on random multi-label targets."""
    import timm
    from timm.data import create_dataset, create_loader
    from timm.loss import BinaryCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.scheduler import CosineLRScheduler
    from timm.utils import ModelEmaV3

    size = bench.size
    model = timm.create_model(size.backbone, num_classes=size.labels).cuda()
    model = model.to(memory_format=torch.channels_last)
    optimiser = create_optimizer_v2(model, opt="adamw", lr=1e-3, weight_decay=1e-4)
    average, loss_of = ModelEmaV3(model, decay=0.997), BinaryCrossEntropy()
    loader = create_loader(
        create_dataset("", root=str(folder)),
        input_size=(3, size.image_size, size.image_size),
        batch_size=size.batch_size,
        is_training=True,
        num_workers=size.workers,
        persistent_workers=True,
        device=torch.device("cuda"),
    )
    schedule = CosineLRScheduler(optimiser, t_initial=size.epochs * len(loader), t_in_epochs=False)
    module = torch.compile(model) if size.compile else model
    states = (torch.rand(size.batch_size, size.labels, device="cuda") < 0.03).float()
    done = 0

    def epoch() -> None:
        nonlocal done
        model.train()
        for images, _ in loader:
            with torch.autocast("cuda", torch.bfloat16):
                batch = images.contiguous(memory_format=torch.channels_last)
                loss = loss_of(module(batch), states[: len(images)])
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            done += 1
            average.update(model, done)
            schedule.step_update(done)

    return epoch


def count_operations(training: _Training, options: argparse.Namespace) -> float:
    """Floating-point operations of one picture's forward pass."""
    from torch.utils.flop_counter import FlopCounterMode

    image = torch.zeros(1, 3, options.image_size, options.image_size, device="cuda")
    training.model.eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        training.model(image)
    return float(counter.get_total_flops())


def measure_peak(side: int = 8192, times: int = 30) -> float:
    """Operations a second of a large product in bfloat16."""
    a, b = torch.randn(2, side, side, device="cuda", dtype=torch.bfloat16)
    for _ in range(3):
        a @ b
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(times):
        a @ b
    torch.cuda.synchronize()
    return times * 2 * side**3 / (time.perf_counter() - start)


if __name__ == "__main__":
    main()

"""On a GPU, training processes at least 1.2 times the images per second of timm's loop.

    python benchmarks/gpu_throughput.py [--quick] [--write] [--compile] [--trial] …

It has not been run on a GPU yet, and ends with a message where there is none; `--trial` runs all of
it on a CPU with small sizes and makes no claims. All sides train the same backbone in bfloat16 and
channels last on the same JPEGs. timm's side has the parts of its training script: `create_loader`
with its prefetcher, `create_optimizer_v2`, cosine schedule, EMA, binary cross-entropy and cuDNN's
search for the best algorithm, but no more augmentation than ours. Our sides are epochs of
`mlic.training` on a store of the same images, which stays in memory: of the baseline, of ten
jointly trained teachers (an image counts once), and of a student that reads their logits. "peak
share" is the baseline's operations per second, three forward passes per image, divided by those of
a large bfloat16 product on the same card.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cached_targets import SOFT, write_targets
from common import Claim, emit
from PIL import Image
from trainings import Bench, SteppedTraining, load, median_ratio, scratch, timed

from mlic.models.options import BranchedModelOptions
from mlic.training.tasks.joint_teachers import JointTeachersTask
from mlic.training.train import make_task

GOAL = 1.2
SIDES = ("baseline", "joint teachers", "student")
FIXED = {"views": 4, "labels": 80, "parts": 5, "width": None, "threads": 8}
QUICK = {"images": 512, "pairs": 1, "batch_size": 64}
TRIAL = {"backbone": "resnet10t", "image_size": 64, "images": 32, "pairs": 1, "batch_size": 16}
TRIAL |= {"workers": 1, "threads": 1, "device": "cpu"}

Row = dict[str, Any]


def main() -> None:
    options = parse()
    if not (options.trial or torch.cuda.is_available()):
        raise SystemExit("gpu_throughput: not run, PyTorch finds no GPU on this machine")
    with scratch() as folder:
        rows = measure(options, folder)
    emit(
        __file__,
        rows,
        [] if options.trial else check_claims(rows),
        options.write and not options.trial,
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet50", help="a timm model")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--images", type=int, default=8192)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=3, help="measurements of every side")
    parser.add_argument("--workers", type=int, default=8, help="processes of timm's loader")
    parser.add_argument("--compile", action="store_true", help="compile the model, both sides")
    parser.add_argument("--quick", action="store_true", help="few images, one measurement")
    parser.add_argument("--trial", action="store_true", help="try on a CPU whether it runs")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    options = parser.parse_args()
    small = TRIAL if options.trial else QUICK if options.quick else {}
    vars(options).update(FIXED | {"device": "cuda"} | small)
    options.epochs = options.pairs + 2  # the schedule must not end before the measurement
    return options


def check_claims(rows: list[Row]) -> list[Claim]:
    """What the raw rows say."""
    ratios = {side: 1 / median_ratio(rows, f"{side} s", "timm s") for side in SIDES}
    share = float(np.median([row["peak share"] for row in rows]))
    device = rows[0]["device"]
    return [
        *(Claim(f"images a second, {side} / a loop of timm's parts", ratio, "x", f">= {GOAL}",
                ratio >= GOAL, [0], device) for side, ratio in ratios.items()),
        Claim("baseline: share of the card's measured matrix peak", share, "of 1", "stated",
              True, [0], device),
    ]  # fmt: skip


def measure(options: argparse.Namespace, folder: Path) -> list[Row]:
    """Rows of all sides; the first warms up."""
    # Without validation images an epoch is the training images alone, as timm's is.
    bench = Bench.make(options, validation=False)
    write_jpegs(bench, folder / "jpegs")
    trainings = make_trainings(bench, folder)
    timm_epoch = make_timm_epoch(bench, folder / "jpegs")
    work, peak = 3 * count_operations(trainings["baseline"], options), measure_peak(options.device)
    rows = []
    for pair in range(options.pairs + 1):
        times = {"timm s": timed(_finished, timm_epoch)[1]}
        for side, training in trainings.items():
            times[f"{side} s"] = timed(_finished, training.run_epoch)[1]
        rate = options.images / times["baseline s"]
        row = {"backbone": options.backbone, "side": options.image_size, "pair": pair, **times}
        row |= {"images": options.images, "peak share": rate * work / peak, "load": load()}
        rows.append({**row, "device": _name(options.device)})
    return rows[1:]


def make_trainings(bench: Bench, folder: Path) -> dict[str, SteppedTraining]:
    """Our sides."""
    inputs, branch = bench.inputs, bench.teachers("joint").branch
    options = inputs["training"].model_copy(update={"compile": bench.size.compile})
    branched = BranchedModelOptions(**inputs["model"].model_dump(), branch=branch)
    names = [name.removeprefix("group_") for name in bench.groups(2)]
    teachers = [bench.job(name, options=options, model=branched) for name in names]
    soft = {"targets": write_targets(bench, folder), "distillation": SOFT}
    tasks = (
        make_task(bench.job("baseline", options=options)),
        JointTeachersTask(teachers),
        make_task(bench.job("student", options=options, **soft)),
    )
    return {side: SteppedTraining(task) for side, task in zip(SIDES, tasks, strict=True)}


def _finished(side: Callable[[], Any]) -> None:
    side()
    _wait()


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else device


def write_jpegs(bench: Bench, folder: Path) -> None:
    """Write the training images as files, in the layout of timm's folder reader."""
    (folder / "all").mkdir(parents=True)
    images = bench.inputs["images"]
    for name, pixels in zip(images.ids, images.pixels, strict=True):
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
    model = timm.create_model(size.backbone, num_classes=size.labels).to(size.device)
    model = model.to(memory_format=torch.channels_last)
    optimiser = create_optimizer_v2(model, opt="adamw", lr=1e-3, weight_decay=1e-4)
    average, loss_of = ModelEmaV3(model, decay=0.997), BinaryCrossEntropy()
    loader = create_loader(
        create_dataset("", root=str(folder)),
        input_size=(3, size.image_size, size.image_size),
        batch_size=size.batch_size,
        is_training=True,
        scale=(0.6, 1.0),
        color_jitter=0.0,
        num_workers=size.workers,
        device=torch.device(size.device),
    )
    schedule = CosineLRScheduler(optimiser, t_initial=size.epochs * len(loader), t_in_epochs=False)
    module = torch.compile(model) if size.compile else model
    states = (torch.rand(size.batch_size, size.labels, device=size.device) < 0.03).float()
    done = 0

    def epoch() -> None:
        nonlocal done
        torch.backends.cudnn.benchmark = True
        model.train()
        for images, _ in loader:
            with torch.autocast(size.device, torch.bfloat16):
                batch = images.contiguous(memory_format=torch.channels_last)
                loss = loss_of(module(batch), states[: len(images)])
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            done += 1
            average.update(model, done)
            schedule.step_update(done)
        torch.backends.cudnn.benchmark = False  # PyTorch's own setting, and ours

    return epoch


def count_operations(training: SteppedTraining, options: argparse.Namespace) -> float:
    """Floating-point operations of one image's forward pass."""
    from torch.utils.flop_counter import FlopCounterMode

    image = torch.zeros(1, 3, options.image_size, options.image_size, device=options.device)
    model = training.state.learners[0].model.eval()  # the loop sets it to training mode
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(image)
    return float(counter.get_total_flops())


def measure_peak(device: str, times: int = 30) -> float:
    """Operations a second of a large product in bfloat16."""
    side = 8192 if device == "cuda" else 256
    a, b = torch.randn(2, side, side, device=device, dtype=torch.bfloat16)
    for _ in range(3):
        a @ b
    _wait()
    start = time.perf_counter()
    for _ in range(times):
        a @ b
    _wait()
    return times * 2 * side**3 / (time.perf_counter() - start)


if __name__ == "__main__":
    main()

"""More workers, more devices, more machines: what they gain here, and what a large run would cost.

    python benchmarks/scale_out.py [--quick] [--write] …

"devices": the product's training of one model by one process with one thread and with two threads,
and by two processes with one thread each (`training.devices`), in images a second of its epochs
after the first. "workers": separate teachers of a small project by `ParallelRunner`, one thread
each, against the same teachers one after the other; "ideal" divides the work by the cores. What
a run takes when nothing is left to do is subtracted. "overhead": seconds of a node whose training
does almost nothing. "images": seconds of the same teachers with more and more images, and what the
cost model of `scale_study/model.py` predicts from the first size alone. "stages": what the same
model says of a large run.

The speed of joining logits is measured. What a core decodes and reads, and the bytes of an image,
are those of `results/image_stores.json`. Speed of the accelerators and of the disk are assumptions,
given by arguments: operations of the backbone at the share of the peak that `gpu_throughput.py`
asks for.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from typing import Any

import numpy as np
import torch
from common import RESULTS, Claim, emit
from scale_study.model import Machine, Run, Stage, predict_stages, predict_teachers
from scale_study.workers import PARTS, measure_images, measure_overhead, measure_workers
from torch.utils.flop_counter import FlopCounterMode
from trainings import Bench, load, median_ratio, scratch

from mlic.distillation.joining import assemble_targets
from mlic.distillation.storage import encode_logits, stored_as
from mlic.distillation.targets import TeacherLogits
from mlic.images.store import ImageStore
from mlic.labels import LabelSpace
from mlic.training.train import make_task, train

DEVICES_GOAL, THREADS_GOAL = 1.5, 1.25
IDEAL_GOAL, NODE_GOAL, SHARE_GOAL, MODEL_GOAL = 0.8, 1.0, 0.02, 0.2
SIDES = {"1 thread": (1, 1), "2 threads": (1, 2), "2 processes": (2, 1)}  # devices, threads
FIXED = {"views": 4, "labels": 80, "parts": 5, "width": 8, "threads": 1}
QUICK = {"backbone": "resnet10t", "image_size": 64, "images": 64, "epochs": 3, "pairs": 1}
QUICK |= {"teacher_images": [100], "teacher_epochs": 1, "workers": [2], "repeats": 1}

Row = dict[str, Any]


def main() -> None:
    """Measure, print and write."""
    options = parse()
    rows = [measure_pair(options, pair) for pair in range(options.pairs)]
    with scratch() as folder:
        images, epochs = options.teacher_images, options.teacher_epochs
        rows += measure_workers(folder / "workers", images[-1], epochs, options.workers)
        if not options.quick:
            rows += measure_overhead(folder / "overhead", options.repeats)
            rows += add_predictions(measure_images(folder / "images", images, epochs), rows, epochs)
    rows += list_stages(options)
    emit(__file__, align(rows), check_claims(rows), options.write)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet50", help="a timm model")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=16, help="of all processes together")
    parser.add_argument("--epochs", type=int, default=4, help="the first is not counted")
    parser.add_argument("--pairs", type=int, default=3, help="measurements of every side")
    parser.add_argument("--teacher-images", type=int, nargs="+", default=[500, 1000, 2000])
    parser.add_argument("--teacher-epochs", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--repeats", type=int, default=3, help="of the overhead of a node")
    large = parser.add_argument_group("the large run, and what is assumed of its machines")
    large.add_argument("--large-images", type=int, default=10_000_000)
    large.add_argument("--large-labels", type=int, default=1000)
    large.add_argument("--large-epochs", type=int, default=10)
    large.add_argument("--large-parts", type=int, default=8)
    large.add_argument("--large-views", type=int, default=2)
    large.add_argument("--targets", default="uint8", help="format of stored logits")
    large.add_argument("--machines", type=int, default=8)
    large.add_argument("--devices", type=int, default=8, help="accelerators of a machine")
    large.add_argument("--cores", type=int, default=96, help="of a machine")
    large.add_argument("--peak", type=float, default=989e12, help="operations a second, bfloat16")
    large.add_argument("--share", type=float, default=0.18, help="of the peak that is reached")
    large.add_argument("--read", type=float, default=5e9, help="bytes a second of a machine")
    parser.add_argument("--quick", action="store_true", help="small models, no check of the model")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    options = parser.parse_args()
    vars(options).update(FIXED | (QUICK if options.quick else {}))
    return options


def measure_pair(options: argparse.Namespace, pair: int) -> Row:
    """All sides once; neither always goes first."""
    order = list(SIDES)[:: 1 if pair % 2 else -1]
    measured = {side: measure(options, *SIDES[side]) for side in order}
    rates = {f"{side} images/s": measured[side][0] for side in SIDES}
    start = measured["2 processes"][1] - measured["2 threads"][1]
    return {"table": "devices", **rates, "start s": start, "load": load()}


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


def add_predictions(measured: list[Row], rows: list[Row], epochs: int) -> list[Row]:
    """Add what the cost model says of each size, from what the first one took."""
    (node,) = (row["node s"] for row in rows if row.get("runner") == "SequentialRunner")
    first = measured[0]
    # One rate for all work of a core: a training pass, of which the logits of a view are a third.
    passes = epochs + VIEWS / 3
    work = first["run s"] - first["teachers"] * node
    rate = first["teachers"] * first["images"] * passes / work
    free = float("inf")
    machine = Machine(rate, 3 * rate, free, free, free, free)
    for row in measured:
        run = Run(row["images"], 1, epochs, VIEWS, PARTS["few"], 0, 0)
        row["predicted s"] = predict_teachers(run, machine, node)
        row["predicted / measured"] = row["predicted s"] / row["run s"]
    return measured


def list_stages(options: argparse.Namespace) -> list[Row]:
    """Hours and bytes of the large run, stage by stage."""
    stores = json.loads((RESULTS / "image_stores.json").read_text(encoding="utf-8"))["rows"]
    (store,) = (row for row in stores if row["name"] == "encoded, quality 95")
    operations = 3 * count_operations("resnet50", 224)  # forward, and twice as much backward
    trained = options.share * options.peak / operations
    size = (1, 1, options.large_labels)
    shape, dtype = stored_as(options.targets, size)
    logit = dtype.itemsize * torch.Size(shape).numel() / options.large_labels
    decoded, viewed = store["written/s a core"], store["views/s a core"]
    joined = measure_joining(options)
    machine = Machine(trained, 3 * trained, decoded, viewed, joined, options.read)
    machine = Machine(**{**vars(machine), "devices": options.devices, "cores": options.cores})
    run = Run(
        options.large_images,
        options.large_labels,
        options.large_epochs,
        options.large_views,
        options.large_parts,
        1000 * store["KB an image"],
        logit,
    )
    stages = predict_stages(run, machine, options.machines)
    whole = {"table": "stages", "stage": "all", "hours": sum(one.seconds for one in stages) / 3600}
    written = sum(one.written for one in stages) / 1e9
    return [*map(_describe, stages), {**whole, "binds": "", "GB": written}]


def measure_joining(options: argparse.Namespace) -> float:
    """Bytes of logits, read and written, that one core joins in a second."""
    rng, number = np.random.default_rng(0), 2000 if options.quick else 20_000
    space = LabelSpace(tuple(f"label {i}" for i in range(options.large_labels)))
    ids, logits, moved = np.arange(number).astype(np.str_), [], 0
    for part, labels in enumerate(np.array_split(np.array(space.names), options.large_parts)):
        size = (1, number, len(labels))
        _, dtype = stored_as(options.targets, size)
        values = encode_logits(rng.normal(-3, 2, size).astype(np.float32), dtype)
        own, name = LabelSpace(tuple(labels.tolist())), f"teachers.cgp_{part}"
        logits.append(TeacherLogits(name, own, ids, values, {}, "f", format=options.targets))
        moved += values.nbytes
    start = time.process_time()
    targets = assemble_targets(space, {"cgp": logits})
    seconds = time.process_time() - start
    return (moved + targets.array.nbytes) / seconds


def _describe(stage: Stage) -> Row:
    row = {"table": "stages", "stage": stage.name, "hours": stage.seconds / 3600}
    row |= {f"{part} h": getattr(stage, part) / 3600 for part in ("accelerators", "cores")}
    return row | {"bytes h": stage.moving / 3600, "binds": stage.binds, "GB": stage.written / 1e9}


def count_operations(backbone: str, side: int) -> int:
    """Floating-point operations of one image's forward pass, without weights and memory."""
    import timm

    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        timm.create_model(backbone)(torch.empty(1, 3, side, side))
    return int(counter.get_total_flops())


def align(rows: list[Row]) -> list[Row]:
    """Give all rows the same columns."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return [{key: _short(row.get(key, "")) for key in columns} for row in rows]


def _short(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value


def check_claims(rows: list[Row]) -> list[Claim]:
    """What the raw rows say."""
    pairs = [row for row in rows if row["table"] == "devices"]
    speed_up = median_ratio(pairs, "2 processes images/s", "1 thread images/s")
    threads = median_ratio(pairs, "2 threads images/s", "1 thread images/s")
    overhead = median_ratio(pairs, "2 threads images/s", "2 processes images/s")
    claims = [
        _claim("two processes / one thread", speed_up, "x", DEVICES_GOAL, least=True),
        _claim("time of two processes / of two threads", overhead, "x", THREADS_GOAL),
        Claim("two threads / one thread", threads, "x", "for comparison", True, [0], DEVICE),
    ]
    for row in rows:
        if row["table"] == "workers" and row["workers"].isdigit() and row["workers"] != "1":
            name = f"{row['teachers']} teachers on {row['workers']} workers, of the ideal speed-up"
            claims.append(_claim(name, row["of ideal"], "of 1", IDEAL_GOAL, least=True))
        elif row["table"] == "overhead":
            node, name = row["node s"], f"a node of {row['runner']}"
            claims.append(_claim(f"{name} beside its work", node, "s", NODE_GOAL))
            share = node / 60
            claims.append(_claim(f"{name}, of a minute", share, "of 1", SHARE_GOAL))
    later = [row for row in rows if row["table"] == "images"][1:]
    if later:
        wrong = max(abs(row["predicted / measured"] - 1) for row in later)
        claims.append(_claim("cost model, largest error", wrong, "of 1", MODEL_GOAL))
    (whole,) = (row for row in rows if row.get("stage") == "all")
    claims.append(Claim("the large run", whole["hours"], "h", "stated", True, [], "predicted"))
    claims.append(Claim("the large run, disk", whole["GB"], "GB", "stated", True, [], "predicted"))
    return claims


def _claim(name: str, value: float, unit: str, goal: float, least: bool = False) -> Claim:
    holds = value >= goal if least else value <= goal
    return Claim(name, value, unit, f"{'>=' if least else '<='} {goal}", holds, [0], DEVICE)


DEVICE = f"cpu, {os.cpu_count()} cores"
VIEWS = 4


if __name__ == "__main__":
    main()

"""Prediction of new images: speed against a plain loop, memory, and ONNX against torch.

    python benchmarks/inference.py [--quick] [--write] [--images FOLDER]

Speed: JPEG files through `mlic.inference.prediction.predict_to_files` and through the loop that a
user of torch would write (torch's DataLoader, Pillow, torchvision's transforms, the same model), in
turns. Memory: the peak of a process that predicts few and many small images; the files repeat.
Latency: the exported ONNX file against torch on decoded images. Weights are random: times do not
depend on them.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from common import Claim, emit
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from mlic.inference.listing import list_images
from mlic.inference.model import TrainedModel
from mlic.inference.onnx_file import export_onnx
from mlic.inference.prediction import predict_to_files
from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.models.classifier import build_classifier
from mlic.models.options import ModelOptions
from mlic.training.calibration import Calibration
from mlic.training.checkpoint import Checkpoint, CheckpointInfo
from mlic.training.options import Choice

BACKBONES = {"resnet18": 224, "mobilenetv2_035": 96}
LABELS, BATCH, ROUNDS = 80, 32, 5
PHOTO = (500, 375)  # pixels of a JPEG file
FEW, MANY = 1_000, 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer images and rounds")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    parser.add_argument("--images", type=Path, help="a folder of JPEG files; without it, made ones")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)  # list and result of a child
    options = parser.parse_args()
    if options.memory:
        predict_for_memory(*map(Path, options.memory))
        return
    rounds = 2 if options.quick else ROUNDS
    with tempfile.TemporaryDirectory() as made:
        folder = options.images or write_photos(Path(made) / "photos", 64 if options.quick else 512)
        rows, claims = [], []
        for backbone, size in BACKBONES.items():
            model = model_of(backbone, size)
            speed = measure_speed(model, folder, Path(made) / backbone, rounds)
            latency = [measure_latency(model, number, rounds) for number in (1, BATCH)]
            rows += [{"model": f"{backbone}, {size} px", **row} for row in (*speed, *latency)]
            ratio = speed[0]["mlic"] / speed[0]["plain"]
            name = f"images/s of mlic / plain loop, {backbone}"
            claims.append(Claim(name, round(ratio, 3), "x", "≥ 1.0", ratio >= 1))
        memory = measure_memory(Path(made), quick=options.quick)
        rows.append({"model": "test_resnet, 32 px", **memory})
        growth = memory["mlic"] / memory["plain"]
        name = f"peak memory at {FEW if options.quick else MANY:,} images / at a few"
        claims.append(Claim(name, round(growth, 3), "x", "≤ 1.1", growth <= 1.1))
    emit(__file__, rows, claims, options.write)


def write_photos(folder: Path, number: int) -> Path:
    """JPEG files that are as expensive to decode as photographs: smooth shapes and some noise."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for place in range(number):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize(PHOTO, Image.Resampling.BICUBIC), dtype=np.float32)
        noisy = smooth + rng.normal(0, 8, smooth.shape)
        pixels = noisy.clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{place:06}.jpg", quality=90)
    return folder


def model_of(backbone: str, size: int) -> TrainedModel:
    """A model with random weights."""
    space = LabelSpace(tuple(f"label {number}" for number in range(LABELS)))
    options = ModelOptions(backbone=backbone)
    module = build_classifier(options, LabelContext(space))
    info = CheckpointInfo(
        name="student", role="student", labels=space.names, label_fingerprint=space.fingerprint,
        model=options, image_size=size, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225),
        components={}, epoch=1, averaged=False, validation_map=None, seconds=0.0, history=[],
        calibration=Calibration.unfitted(Choice(name="asymmetric"), LABELS),
    )  # fmt: skip
    weights = {name: value.numpy() for name, value in module.state_dict().items()}
    return TrainedModel(Checkpoint(weights, info), device="cpu")


class Photos(Dataset[torch.Tensor]):
    """What a user of torch would write."""

    def __init__(self, folder: Path, size: int) -> None:
        from torchvision import transforms

        self.files = sorted(folder.glob("*.jpg"))
        self.transform = transforms.Compose(
            [
                transforms.Resize((size, size)),
                transforms.ToTensor(),
                transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> torch.Tensor:
        image: torch.Tensor = self.transform(Image.open(self.files[row]).convert("RGB"))
        return image


def plain_loop(model: TrainedModel, folder: Path) -> int:
    """Predict all images of a folder with torch's DataLoader; the number of images."""
    photos = Photos(folder, model.checkpoint.info.image_size)
    found = []
    with torch.inference_mode():
        for batch in DataLoader(photos, BATCH, num_workers=os.cpu_count() or 1):
            inputs = batch.to(memory_format=torch.channels_last)
            found.append(model.module(inputs).sigmoid().numpy())
    return len(np.concatenate(found))


def measure_speed(
    model: TrainedModel, folder: Path, out: Path, rounds: int
) -> list[dict[str, Any]]:
    """Images a second of both, in turns; the median of the rounds."""
    times: dict[str, list[float]] = {"plain": [], "mlic": []}
    number = len(list(folder.glob("*.jpg")))
    for turn in range(rounds + 1):
        start = time.perf_counter()
        plain_loop(model, folder)
        middle = time.perf_counter()
        predict_to_files(model, list_images(folder), out / str(turn), BATCH)
        end = time.perf_counter()
        if turn:  # the first turn warms up
            times["plain"].append(number / (middle - start))
            times["mlic"].append(number / (end - middle))
    best = {name: round(median(values), 1) for name, values in times.items()}
    return [
        {"figure": f"images/s, {number} JPEG files", "plain": best["plain"], "mlic": best["mlic"]}
    ]


def measure_latency(model: TrainedModel, number: int, rounds: int) -> dict[str, Any]:
    """Milliseconds of a batch of decoded images: torch (plain) and ONNX (mlic), in turns."""
    import onnxruntime

    size = model.checkpoint.info.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (number, size, size, 3), dtype=np.uint8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(export_onnx(model, pixels), options)
    times: dict[str, list[float]] = {"plain": [], "mlic": []}
    for _ in range(4 * rounds):
        start = time.perf_counter()
        model.probabilities(pixels)
        middle = time.perf_counter()
        session.run(["probabilities"], {"images": pixels})
        times["plain"].append(middle - start)
        times["mlic"].append(time.perf_counter() - middle)
    shown = {name: round(1000 * median(values[1:]), 2) for name, values in times.items()}
    return {"figure": f"ms a batch of {number}: torch, ONNX", **shown}


def measure_memory(folder: Path, quick: bool) -> dict[str, Any]:
    """Peak megabytes of processes that predict few and many images."""
    Image.new("RGB", (32, 32), (90, 120, 30)).save(folder / "small.jpg")
    peaks = []
    for number in (100, FEW) if quick else (FEW, MANY):
        with (folder / f"{number}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["path"], *[["small.jpg"]] * number])
        result = folder / f"{number}.json"
        command = [sys.executable, __file__, "--memory", str(folder / f"{number}.csv"), str(result)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        peaks.append(json.loads(result.read_text())["megabytes"])
    few, many = (100, FEW) if quick else (FEW, MANY)
    return {
        "figure": f"MB at the peak: {few:,} images, {many:,}",
        "plain": peaks[0],
        "mlic": peaks[1],
    }


def predict_for_memory(images: Path, result: Path) -> None:
    """Predict a list in this process, and write its peak of memory."""
    out = result.with_suffix("")
    predict_to_files(model_of("test_resnet", 32), list_images(images), out, BATCH)
    # Not getrusage, whose peak includes that of the parent before the program was started.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (peak,) = re.findall(r"VmHWM:\s*(\d+) kB", status)
    result.write_text(json.dumps({"megabytes": round(int(peak) / 1024, 1)}))


if __name__ == "__main__":
    main()

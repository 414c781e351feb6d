"""Time that a training needs to save its state, in comparison with the epoch before it."""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

from trainings import Bench, SteppedTraining, scratch

from mlic.caching.store import ArtifactStore
from mlic.training.train import make_task
from mlic.training.unfinished import UnfinishedTraining

__all__ = ["measure_saving"]

EPOCH = 5011  # training images of PASCAL VOC 2007, the smallest of the usual data sets
SAVES = 5


def measure_saving(
    backbone: str, image_size: int, images: int, batch_size: int = 32
) -> dict[str, Any]:
    """Time an epoch of some images and a save; the share is that of an epoch of VOC 2007."""
    size = argparse.Namespace(
        backbone=backbone, image_size=image_size, images=images, batch_size=batch_size, epochs=13,
        views=1, labels=20, parts=2, width=None, threads=4,
    )  # fmt: skip
    job = Bench.make(size).job("baseline")
    training = SteppedTraining(make_task(job))
    training.run_epoch()  # the first one is slower
    seconds = training.run_epoch()
    with scratch() as folder:
        unfinished = UnfinishedTraining(ArtifactStore(folder, job.name), [job])
        saves = [_time_save(unfinished, training) for _ in range(SAVES)]
        (file,) = Path(folder).glob("*.safetensors")
        size_mb = file.stat().st_size / 1e6
    save, epoch = statistics.median(saves), seconds / images * EPOCH
    print(f"{backbone}: an epoch of {EPOCH} images {epoch:.1f} s, a save of {size_mb:.0f} MB "
          f"{save:.2f} s")  # fmt: skip
    return {"backbone": backbone, "save": save, "epoch": epoch, "share": save / epoch}


def _time_save(unfinished: UnfinishedTraining, training: SteppedTraining) -> float:
    start = time.perf_counter()
    unfinished.save(training.state)
    return time.perf_counter() - start

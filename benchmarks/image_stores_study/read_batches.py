"""Make views of random batches of a store; print the memory that it took as JSON.

python benchmarks/image_stores_study/read_batches.py FOLDER BATCH BATCHES
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import torch

from mlic.images.augmentation import ViewSampler
from mlic.images.options import AugmentationOptions
from mlic.images.preprocess import preprocess_views
from mlic.images.store import ImageStore

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
STATUS = Path("/proc/self/status")


def main() -> None:
    folder, batch, batches = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    store, rng, own = ImageStore.open(folder), np.random.default_rng(0), 0.0
    sampler = ViewSampler(store.ids, AugmentationOptions(), seed=0)
    for _ in range(batches):
        rows = rng.integers(0, len(store), batch)
        boxes = torch.from_numpy(sampler.boxes(rows, 1))
        preprocess_views(torch.from_numpy(store.read(rows)), boxes, store.size, MEAN, STD)
        own = max(own, megabytes("RssAnon"))
    # Pages of mapped files are in "all MB" too; the system takes them back when it needs memory.
    print(json.dumps({"own MB": own, "all MB": megabytes("VmHWM")}))


def megabytes(key: str) -> float:
    found = re.search(rf"^{key}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else float("nan")


if __name__ == "__main__":
    main()

"""Stores of images: the same pixels in a third of the disk space, and memory that stays flat.

    python benchmarks/image_stores.py [--quick] [--write] [--jpegs FOLDER] [--images N] …

Four tables. "codecs": bytes an image, and how long encoding and decoding take with each library
that is installed. "stores": what each `data.store` takes on the disk, and how many images a core
reads a second, alone and as views of a training (read, cropped, mirrored, normalised, float32).
"formats": the same encoded images kept by other libraries, as far as they are installed, and how
many changed bits give other pixels without an error. "memory": what a process that reads random
batches holds, for synthetic stores of more and more images. Rates are per second of processor time,
of all threads together, so that other programs on the machine change them little. `--write` also
draws the table "memory" into benchmarks/results/image_stores.svg; `--draw` draws the results that
are there, and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, ROOT, Claim, emit, save_figure
from image_stores_study.codecs import codec_rows
from image_stores_study.formats import BITS, NUM_BITS, format_rows
from image_stores_study.memory import memory_rows
from PIL import Image
from trainings import cpu_seconds, scratch

from mlic.images.augmentation import ViewSampler
from mlic.images.ingest import write_store
from mlic.images.options import AugmentationOptions
from mlic.images.preprocess import preprocess_views
from mlic.images.records import ImageRecords
from mlic.images.store import ImageStore
from mlic.labels import LabelMatrix, LabelSpace

FLAT_GOAL, SPACE_GOAL = 1.05, 0.5
QUICK = {"images": 16, "repeats": 1, "sizes": [1_000, 10_000]}
STORES = {"pixels": ("pixels", None), "encoded": ("encoded", None), "files": ("files", None)}
STORES |= {"encoded, quality 95": ("encoded", 95)}

Row = dict[str, Any]


def main() -> None:
    options = parse()
    if options.draw:
        draw(json.loads((RESULTS / "image_stores.json").read_text(encoding="utf-8"))["rows"])
        return
    with scratch() as folder:
        files = find_jpegs(options.jpegs, folder / "jpegs", options.images)
        stores = store_rows(files, folder, options)
        squares = ImageStore.open(folder / "pixels").read(slice(None))
        rows = [*codec_rows(squares, options.repeats), *stores]
        rows += format_rows(squares, folder / "formats", options.repeats)
        rows += memory_rows(options.sizes, folder / "memory")
    emit(__file__, align(rows), check_claims(rows), options.write)
    if options.write:
        draw(rows)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=5, help="measurements of every rate")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--jpegs", type=Path, default=ROOT.parent / "shared" / "data" / "coco128")
    parser.add_argument("--quick", action="store_true", help="few images, one measurement")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    parser.add_argument("--draw", action="store_true", help="draw the results that are there")
    options = parser.parse_args()
    vars(options).update(QUICK if options.quick else {})
    return options


def draw(rows: list[Row]) -> None:
    """Draw the memory of a reading process against the number of images."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    measured = [row for row in rows if row["table"] == "memory"]
    for number, store in enumerate(dict.fromkeys(row["name"] for row in measured)):
        own = [row for row in measured if row["name"] == store]
        for key, style in (("own MB", "-"), ("all MB", ":")):
            points = [row["images"] for row in own], [row[key] for row in own]
            what = "its own" if key == "own MB" else "with pages of files"
            axes.plot(*points, style, marker="o", color=f"C{number}", label=f"{store}, {what}")
    axes.set(xlabel="images", ylabel="memory, MB", xscale="log", ylim=(0, None))
    axes.set_title("Memory of a process that reads random batches")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    save_figure(figure, RESULTS / "image_stores.svg")


def find_jpegs(folder: Path, made: Path, number: int) -> list[Path]:
    """Files of a folder; without one, smooth noise of COCO's size."""
    found = sorted(folder.rglob("*.jpg"))[:number]
    if found:
        return found
    made.mkdir()
    rng, paths = np.random.default_rng(0), [made / f"{i}.jpg" for i in range(number)]
    for path in paths:
        coarse = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))
        coarse.resize((640, 480), Image.Resampling.BICUBIC).save(path, quality=90)
    return paths


def store_rows(files: list[Path], folder: Path, options: argparse.Namespace) -> list[Row]:
    """Every store, made of the same files; whether its pixels are those of the store pixels."""
    ids = [f"{i:06d}" for i in range(len(files))]
    states = np.ones((len(files), 1), np.int8)
    raw = ImageRecords(LabelMatrix(LabelSpace(("any",)), ids, states, [""] * len(ids)), files)
    rows, first = [], None
    for name, (kind, quality) in STORES.items():
        path = folder / name

        def write(path: Path = path, kind: Any = kind, quality: int | None = quality) -> Any:
            return write_store(path, raw, options.side, kind, quality)

        write(folder / "warm-up")  # loads libraries
        (store, _), seconds = cpu_seconds(write)
        first = first or store
        on_disk = sum(file.stat().st_size for file in path.iterdir())
        rows.append(
            {
                "table": "stores",
                "name": name,
                "KB an image": on_disk / len(files) / 1000,
                "of pixels": on_disk / first.read(slice(None)).nbytes,
                "written/s a core": len(files) / seconds,
                "read/s a core": rate(lambda store=store: read_at_random(store), store, options),
                "views/s a core": rate(lambda store=store: make_views(store), store, options),
                "same pixels": np.array_equal(store.read(slice(None)), first.read(slice(None)))
                and store.fingerprint == first.fingerprint,
            }
        )
    return rows


def rate(read: Callable[[], Any], store: ImageStore, options: argparse.Namespace) -> float:
    """Images a second of processor time, the median of some passes over a store."""
    read()  # the first pass compares digests and loads libraries
    return len(store) / statistics.median(cpu_seconds(read)[1] for _ in range(options.repeats))


def read_at_random(store: ImageStore) -> None:
    """All images in the order of a shuffled epoch."""
    store.read(np.random.default_rng(0).permutation(len(store)))


def make_views(store: ImageStore, batch: int = 32) -> None:
    """Views of all images as a training on the CPU makes them."""
    import torch

    torch.set_num_threads(1)
    sampler = ViewSampler(store.ids, AugmentationOptions(), seed=0)
    for start in range(0, len(store), batch):
        rows = np.arange(start, min(start + batch, len(store)))
        boxes = torch.from_numpy(sampler.boxes(rows, 0))
        pixels = torch.from_numpy(store.read(rows))
        preprocess_views(pixels, boxes, store.size, (0.5,) * 3, (0.25,) * 3)


def align(rows: list[Row]) -> list[Row]:
    """Rows of all tables with the columns of all tables."""
    columns = dict.fromkeys(column for row in rows for column in row)
    return [{column: row.get(column, "") for column in columns} for row in rows]


def check_claims(rows: list[Row]) -> list[Claim]:
    """What the raw rows say."""
    stores = {row["name"]: row for row in rows if row["table"] == "stores"}
    claims = []
    for name in ("encoded", "files"):
        same = float(stores[name]["same pixels"])
        claims.append(Claim(f"store {name}: pixels and fingerprint of the store pixels", same, "",
                            "equal to the bit", bool(same), [0]))  # fmt: skip
    share = stores["encoded"]["of pixels"]
    claims.append(Claim("store encoded, without loss / store pixels, bytes", share, "x",
                        f"<= {SPACE_GOAL}", share <= SPACE_GOAL, [0]))  # fmt: skip
    for name, row in stores.items():
        claims.append(Claim(f"store {name}: views of a training", row["views/s a core"],
                            "images/s a core", "stated", True, [0]))  # fmt: skip
    for row in rows:
        if row["table"] == "formats" and row["name"] == "mlic":
            silent = row[BITS]
            name = f"of {NUM_BITS} changed bits, those that mlic reads as pixels"
            claims.append(Claim(name, silent, "bits", "0", silent == 0, [0]))
    return claims + _memory_claims([row for row in rows if row["table"] == "memory"])


def _memory_claims(rows: list[Row]) -> list[Claim]:
    claims = []
    for name in dict.fromkeys(row["name"] for row in rows):
        sizes = {row["images"]: row["own MB"] for row in rows if row["name"] == name}
        first, last = min(sizes), max(sizes)
        ratio = sizes[last] / sizes[first]
        goal = "stated" if name == "pixels" else f"<= {FLAT_GOAL}"
        claims.append(Claim(f"store {name}: memory of {last} / {first} images", ratio, "x", goal,
                            goal == "stated" or ratio <= FLAT_GOAL, [0]))  # fmt: skip
    return claims


if __name__ == "__main__":
    main()

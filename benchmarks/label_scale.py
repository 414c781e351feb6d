"""Time and memory of label statistics and partitions against the number of labels and images.

    python benchmarks/label_scale.py [--quick] [--write]

The images are synthetic: label frequencies follow a power law, and seven in ten labels of an image
belong to its community. Every row is measured in a separate process, which reads its input from a
file; the peak memory is that of the whole process, with input and interpreter. Rows `count unknown`
have as many unknown states as present ones. `--write` also draws the rows, time and memory against
the number of labels, into benchmarks/results/label_scale.svg.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from common import ROOT, Claim, emit, save_figure
from scipy import sparse

from mlic.labels.space import LabelSpace
from mlic.labels.statistics import LabelStatistics, count_labels

MEAN_LABELS = 5.15  # of an image, before labels that are drawn twice are counted once
IN_COMMUNITY = 0.7
CHUNK = 500_000  # images generated at once
EXPONENTS = {"cgp": 1 / 2, "dgp": 1 / 3}
SIZES = [
    (100_000, 100, 5),
    (1_000_000, 1_000, 10),
    (1_000_000, 3_000, 20),
    (10_000_000, 10_000, 64),
]
QUICK = [(20_000, 100, 5), (100_000, 1_000, 10)]
FULL = 10_000_000, 10_000
GOALS = {  # work, images (None: any number), labels -> figure, unit, limit
    ("count", *FULL): [("seconds", "s", 15.0), ("peak MB", "MB", 1000.0)],
    ("cgp", None, 1_000): [("seconds", "s", 1.0)],
    ("dgp", None, 1_000): [("seconds", "s", 1.0)],
    ("cgp", None, 10_000): [("seconds", "s", 60.0)],
    ("dgp", None, 10_000): [("seconds", "s", 90.0)],
}
MARKERS = {"count": "o", "count unknown": "s", "cgp": "^", "dgp": "v"}
FIGURES = {"seconds": "seconds, worst seed", "peak MB": "peak memory of the process, MB"}

Row = dict[str, Any]


def main() -> None:
    options = parse()
    seeds = range(1) if options.quick else range(3)
    with TemporaryDirectory(dir=options.scratch) as folder:
        rows = [
            row
            for size in (QUICK if options.quick else SIZES)
            for row in measure_size(Path(folder), *size, seeds=list(seeds))
        ]
    emit(__file__, rows, check_claims(rows), options.write)
    if options.write:
        draw(rows, ROOT / "benchmarks" / "results" / "label_scale.svg")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, one seed")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    parser.add_argument("--scratch", type=Path, help="folder with room for 1 GB")
    return parser.parse_args()


def check_claims(rows: list[Row]) -> list[Claim]:
    """Compare the worst row of every size that has a goal with the goal."""
    claims = []
    for (work, images, labels), goals in GOALS.items():
        found = [r for r in rows if r["work"] == work and r["labels"] == labels]
        found = [r for r in found if images in (None, r["images"])]
        for figure, unit, most in goals if found else []:
            worst = max(row[figure] for row in found)
            name = f"{work}, {labels:,} labels, {found[0]['images']:,} images: {figure}"
            seeds = [row["seed"] for row in found]
            claims.append(Claim(name, worst, unit, f"< {most:g}", worst < most, seeds))
    return claims


def draw(rows: list[Row], path: Path) -> None:
    """Draw time and memory of all rows against the number of labels; a cross is a goal."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = figure.subplots(ncols=2)
    images = [row["images"] for row in rows]
    span = f"labels, of {min(images):,} to {max(images):,} images"
    for axes, key, title in zip(panels, FIGURES, FIGURES.values(), strict=True):
        for number, (work, marker) in enumerate(MARKERS.items()):
            found = [row for row in rows if row["work"] == work]
            sizes = sorted({row["labels"] for row in found})
            worst = [max(row[key] for row in found if row["labels"] == size) for size in sizes]
            colour = f"C{number}"
            axes.plot(sizes, worst, marker=marker, color=colour, label=work)
            for (goal_of, _, size), goals in GOALS.items():
                if goal_of == work and size in sizes:
                    most = [most for figure_of, _, most in goals if figure_of == key]
                    axes.plot([size] * len(most), most, marker="x", color=colour, linestyle="")
        axes.set(title=title, xlabel=span, xscale="log", yscale="log")
        axes.grid(alpha=0.3)
    panels[0].legend()
    save_figure(figure, path)


def measure_size(folder: Path, images: int, labels: int, parts: int, seeds: list[int]) -> list[Row]:
    """Measure one size: counting, counting with unknown states, and both cuts."""
    common: Row = {"images": images, "labels": labels}
    rows = []
    for work in ("count unknown", "count"):  # the cuts use the statistics of the last one
        in_new_process(write_states, folder, images, labels, work == "count unknown")
        rows.append(
            {"work": work, **common, "parts": 0, "seed": 0} | in_new_process(count, folder, labels)
        )
    for work in EXPONENTS:
        for seed in seeds[:1] if labels > 1_000 else seeds:
            found = in_new_process(cut, folder, work, parts, seed)
            rows.append({"work": work, **common, "parts": parts, "seed": seed} | found)
    return rows


def in_new_process(work: Any, *arguments: Any) -> Row:
    """Run in a new process; add its peak memory and the load of the machine."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found: Row = pool.apply(with_peak_memory, (work, *arguments))
    return found


def with_peak_memory(work: Any, *arguments: Any) -> Row:
    found: Row = work(*arguments)
    status = Path("/proc/self/status").read_text()  # ru_maxrss includes the peak of the parent
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    return found | {"peak MB": round(peak), "load": round(os.getloadavg()[0], 1)}


def write_states(folder: Path, images: int, labels: int, unknown: bool) -> Row:
    rng = np.random.default_rng(0)
    sizes = [min(CHUNK, images - start) for start in range(0, images, CHUNK)]
    chunks = [draw_states(rng, size, labels, unknown) for size in sizes]
    states = sparse.vstack(chunks, format="csr")
    for part in ("data", "indices", "indptr"):
        np.save(folder / f"states_{part}.npy", getattr(states, part))
    return {}


def draw_states(
    rng: np.random.Generator, images: int, labels: int, unknown: bool
) -> sparse.csr_array:
    """Generate the states of images of one community each; shape (images, labels), int8."""
    communities = max(4, labels // 150)
    lengths = rng.poisson(MEAN_LABELS * (2 if unknown else 1), images)
    community = np.repeat(rng.integers(communities, size=images), lengths)
    # label frequencies fall as rank^(-2/3)
    rank = (labels * rng.random(len(community)) ** 3).astype(np.int32)
    local = np.minimum(rank // communities * communities + community, labels - 1)
    columns = np.where(rng.random(len(community)) < IN_COMMUNITY, local, rank).astype(np.int32)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    ones = np.ones(len(columns), np.int8)
    drawn = sparse.csr_array((ones, columns, indptr), shape=(images, labels))
    drawn.sum_duplicates()
    drawn.data[:] = rng.choice([1, -1], drawn.nnz) if unknown else 1
    return drawn


def count(folder: Path, labels: int) -> Row:
    parts = tuple(np.load(folder / f"states_{part}.npy") for part in ("data", "indices", "indptr"))
    states = sparse.csr_array(parts, shape=(len(parts[2]) - 1, labels))
    space = LabelSpace(tuple(f"label {i}" for i in range(labels)))
    start = time.perf_counter()
    statistics = count_labels(states, space)
    seconds = time.perf_counter() - start
    tensors, metadata = statistics.to_tensors()
    np.savez(folder / "statistics.npz", **tensors, **metadata)  # type: ignore[arg-type]
    return {"states": states.nnz, "pairs": statistics.together.nnz, "seconds": seconds}


def cut(folder: Path, strategy: str, num_parts: int, seed: int) -> Row:
    # imported here, because counting needs no scikit-learn and its memory is measured
    from mlic.labels.partition.partitioning import partition_labels

    with np.load(folder / "statistics.npz") as file:
        arrays = {name: file[name] for name in file.files}
    metadata = {name: str(arrays.pop(name)) for name in ("names", "num_images")}
    statistics = LabelStatistics.from_tensors(arrays, metadata)
    start = time.perf_counter()
    partition_labels(statistics, strategy, num_parts, EXPONENTS[strategy], seed)
    seconds = time.perf_counter() - start
    return {"states": 0, "pairs": statistics.together.nnz, "seconds": seconds}


if __name__ == "__main__":
    main()

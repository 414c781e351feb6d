"""Memory of the label statistics against the number of images in the Parquet table of labels.

    python benchmarks/label_table.py [--images 1000000] [--quick] [--write]

The synthetic tables have 1,000 labels, as many unknown states as present ones, and the format and
the row groups of the catalog entry `labels`. The nodes of the label statistics count what the
entry loads; rows `whole table` first read it as a whole and copy the training images. Every row is
measured in a process of its own. `above MB` is its peak memory less what it had before the table
was opened. Before the states are read, 8 bytes an image find repeated ids: from some millions of
images on, they are the peak. A table of one row group is always read as a whole.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from common import Claim, emit
from label_scale import Row, draw_states, in_new_process

from mlic.datasets.base import label_table
from mlic.datasets.label_matrix import LabelMatrixDataset, group_length
from mlic.labels.matrix import SPLITS, LabelMatrix
from mlic.labels.matrix_digest import MatrixDigest
from mlic.labels.space import LabelSpace
from mlic.labels.statistics import LabelStatistics, count_labels
from mlic.pipelines.label_statistics.nodes import count_training_labels, tabulate_labels

LABELS = 1_000
SHARES = (0.8, 0.1, 0.1)  # of the splits
QUICK = (30_000, 100_000)
MOST_WHOLE = 1_000_000  # more images do not fit the memory of many machines as a whole
GROWTH = 1.3  # goal for the memory of up to ten times the images, where the ids do not count
BYTES = 8.0  # goal for every further image, where they do
SAVING = 5.0  # goal for the memory of the whole table


def main() -> None:
    options = parse()
    sizes = QUICK if options.quick else [options.images // part for part in (100, 10, 1)]
    rows = []
    for images in sizes:
        with TemporaryDirectory(dir=options.scratch) as folder:
            rows += measure_size(Path(folder) / "labels.parquet", images)
    emit(__file__, rows, check_claims(rows), options.write)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1_000_000, help="images of the largest table")
    parser.add_argument("--quick", action="store_true", help="small tables")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    parser.add_argument("--scratch", type=Path, help="folder with room for 20 bytes an image")
    return parser.parse_args()


def measure_size(file: Path, images: int) -> list[Row]:
    """Write one table and measure each way to count it."""
    in_new_process(write_table, file, images)
    common = {"images": images, "file MB": round(file.stat().st_size / 1e6)}
    works = [work for work in WORKS if work != WHOLE or images <= MOST_WHOLE]
    rows = [{"work": work, **common, **in_new_process(measure, file, work)} for work in works]
    for row in rows:
        row["above MB"] = row["peak MB"] - row["before MB"]
    return rows


def check_claims(rows: list[Row]) -> list[Claim]:
    """Compare tables of different sizes, the two ways to read one table, and all counts."""
    sizes = sorted({row["images"] for row in rows})
    above = {(row["work"], row["images"]): row["above MB"] for row in rows}
    claims = [
        compare_sizes(work, *pair, above[work, pair[0]], above[work, pair[1]])
        for work in (STATISTICS, TABLE)
        for pair in pairwise(sizes)
    ]
    largest = max(images for work, images in above if work == WHOLE)
    saving = above[WHOLE, largest] / above[STATISTICS, largest]
    name = f"{largest:,} images: memory of the whole table / of row groups"
    claims.append(Claim(name, saving, "x", f">= {SAVING:g}", saving >= SAVING, [0]))
    for counted in ("training counts", "all counts"):
        # the table of counts has no pairs
        found = {(row["images"], row[counted]) for row in rows if row[counted]}
        more = float(len(found) - len(sizes))
        name = f"tables whose {counted} differ"
        claims.append(Claim(name, more, "tables", "0", more == 0, [0]))
    return claims


def compare_sizes(work: str, few: int, many: int, small: float, large: float) -> Claim:
    """Compare the memory of two numbers of images, in MB."""
    if many <= MOST_WHOLE:
        growth = large / small
        name = f"{work}: memory of {many:,} images / of {few:,}"
        return Claim(name, growth, "x", f"<= {GROWTH:g}", growth <= GROWTH, [0])
    growth = (large - small) * 1e6 / (many - few)
    name = f"{work}: memory of each image from {few:,} to {many:,}"
    return Claim(name, growth, "bytes", f"<= {BYTES:g}", growth <= BYTES, [0])


def space() -> LabelSpace:
    return LabelSpace(tuple(f"label {number}" for number in range(LABELS)))


def draw_groups(images: int) -> Iterator[LabelMatrix]:
    """Generate the rows of a table, one row group at a time."""
    length = group_length(space())
    for start in range(0, images, length):
        rng, size = np.random.default_rng(start), min(length, images - start)
        ids = [f"{number:08}.jpg" for number in range(start, start + size)]
        states = draw_states(rng, size, LABELS, unknown=True).toarray()
        yield LabelMatrix(space(), ids, states, rng.choice(SPLITS, size, p=SHARES))


def write_table(file: Path, images: int) -> Row:
    """Write what `LabelMatrixDataset.save` would write, with no more than a group in memory."""
    digest, split = MatrixDigest(space()), []
    digest.add_texts([f"{number:08}.jpg"] for number in range(images))
    for group in draw_groups(images):
        digest.add_states(group.states)
        split.append(group.split.tolist())
    digest.add_texts(split)
    writer = None
    for group in draw_groups(images):
        table = label_table(group)
        known = table.schema.metadata | {"fingerprint": digest.fingerprint}
        table = table.replace_schema_metadata(known)
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table, row_group_size=len(table))
    assert writer is not None
    writer.close()
    return {}


def measure(file: Path, work: str) -> Row:
    status = Path("/proc/self/status").read_text()
    before = int(status.split("VmRSS:")[1].split()[0]) * 1024 / 1e6
    start = time.perf_counter()
    counts = WORKS[work](LabelMatrixDataset(str(file)).load())
    seconds = time.perf_counter() - start
    is_table = isinstance(counts, pd.DataFrame)
    single = counts["train"].to_numpy() if is_table else counts.counts
    everything = {} if is_table else counts.to_tensors()[0]
    return {
        "seconds": seconds,
        "before MB": round(before),
        "training counts": shorten(single),
        "all counts": shorten(*(everything[name] for name in sorted(everything))),
    }


def shorten(*arrays: Any) -> str:
    """Six hex digits of the content of arrays, or nothing for none."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array)
    return digest.hexdigest()[:6] if arrays else ""


def count_whole(labels: LabelMatrix) -> LabelStatistics:
    train = labels.in_split("train")
    return count_labels(train.states, train.space)


STATISTICS, TABLE, WHOLE = "statistics, row groups", "table, row groups", "statistics, whole table"
WORKS = {STATISTICS: count_training_labels, TABLE: tabulate_labels, WHOLE: count_whole}


if __name__ == "__main__":
    main()

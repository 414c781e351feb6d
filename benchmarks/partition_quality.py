"""Reproduce the published partitions of COCO's labels, and compare ours with the best known.

    python benchmarks/partition_quality.py [--quick] [--write] [--shared FOLDER]

Our cuts use the default exponents, methods and smallest size. The goals are the best known figures
for the same label counts, found by spectral clustering with moves of single labels (CGP) and by a
balanced swap search (DGP); both are computed on the co-occurrence graph with p = 1/2.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import ROOT, Claim, emit
from sklearn.metrics import adjusted_rand_score

from mlic.labels.graph import COOCCURRENCE_EXPONENT, affinity
from mlic.labels.options import PartitionOptions
from mlic.labels.partition import Partition, user_partition
from mlic.labels.partition.partitioning import partition_labels
from mlic.labels.partition.quality import coverage, cut_value
from mlic.labels.space import LabelSpace
from mlic.labels.statistics import LabelStatistics, count_labels

if TYPE_CHECKING:
    from collections.abc import Callable

TOLERANCE = 1e-4
NCUT = {2: 0.5711, 3: 1.3595, 5: 3.0248, 8: 5.6819, 13: 10.3928}
COVERAGE = {2: 0.4589, 3: 0.2839, 5: 0.1501, 8: 0.0798, 13: 0.0374}
REPRODUCED = [("cgp", 2, 0.5), ("cgp", 3, 0.5), ("cgp", 5, 0.5), ("dgp", 2, 1 / 3)]
ENTRIES = {"cgp": "cooccurrence", "dgp": "disoccurrence"}

Row = dict[str, Any]


def main() -> None:
    options = parse()
    data = options.shared / "data"
    labels = data / "labels" / "coco2014_train.npz"
    if not labels.is_file():
        raise SystemExit(f"no COCO labels at {labels}: give their folder with --shared")
    with np.load(labels) as file:
        statistics = count_labels(file["labels"], LabelSpace(tuple(file["classes"].tolist())))
    published = json.loads((data / "partitions" / "coco_published.json").read_text())
    many, few = (range(3), range(1)) if options.quick else (range(20), range(5))
    found = [reproduce(statistics, published, *case, seeds=list(many)) for case in REPRODUCED]
    found += [cut(statistics, "cgp", k, list(few)) for k in NCUT]
    found += [cut(statistics, "dgp", k, list(few)) for k in COVERAGE]
    emit(__file__, [row for row, _ in found], [claim for _, claim in found], options.write)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--quick", action="store_true", help="fewer seeds")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    return parser.parse_args()


def reproduce(
    statistics: LabelStatistics,
    published: dict[str, Any],
    strategy: str,
    num_parts: int,
    exponent: float,
    *,
    seeds: list[int],
) -> tuple[Row, Claim]:
    """Compare the published procedure with the published parts by adjusted Rand index."""
    theirs = user_partition(published[ENTRIES[strategy]][str(num_parts)], statistics.space)

    def score(seed: int) -> tuple[Partition, float]:
        ours = partition_labels(statistics, strategy, num_parts, exponent, seed, "published")
        return ours, float(adjusted_rand_score(ours.membership, theirs.membership))

    row, scores = over_seeds(f"{strategy} published", num_parts, exponent, seeds, score)
    row |= {"figure": "ARI to published", "goal": 1.0}
    name = f"{strategy} K={num_parts} published procedure: least ARI"
    return row, Claim(name, min(scores), "ARI", "= 1", min(scores) == 1.0, seeds)


def cut(
    statistics: LabelStatistics, strategy: str, num_parts: int, seeds: list[int]
) -> tuple[Row, Claim]:
    """Evaluate our default cut; its figure is computed on the co-occurrence graph with p = 1/2."""
    defaults = PartitionOptions(num_parts=num_parts)
    exponent = defaults.exponents[strategy]
    weights = affinity(statistics, "co", COOCCURRENCE_EXPONENT)
    figure: Callable[..., float] = cut_value if strategy == "cgp" else coverage
    what, goal = ("Ncut(S)", NCUT) if strategy == "cgp" else ("coverage(S)", COVERAGE)

    def score(seed: int) -> tuple[Partition, float]:
        ours = partition_labels(
            statistics, strategy, num_parts, exponent, seed, min_size=defaults.min_size
        )
        return ours, figure(weights, ours.membership)

    row, scores = over_seeds(f"{strategy} default", num_parts, exponent, seeds, score)
    row |= {"figure": what, "goal": goal[num_parts]}
    best = goal[num_parts] + TOLERANCE
    name = f"{strategy} K={num_parts} as shipped, {what}: worst seed"
    return row, Claim(name, max(scores), what, f"<= {best:.4f}", max(scores) <= best, seeds)


def over_seeds(
    name: str,
    num_parts: int,
    exponent: float,
    seeds: list[int],
    score: Callable[[int], tuple[Partition, float]],
) -> tuple[Row, list[float]]:
    start = time.perf_counter()
    found = [score(seed) for seed in seeds]
    seconds = (time.perf_counter() - start) / len(seeds)
    scores = [value for _, value in found]
    row = {
        "method": name,
        "K": num_parts,
        "p": round(exponent, 3),
        "figure": "",
        "goal": 0.0,
        "min": min(scores),
        "mean": float(np.mean(scores)),
        "max": max(scores),
        "sizes (first seed)": "/".join(str(len(part)) for part in found[0][0].parts),
        "seeds": len(seeds),
        "s each": round(seconds, 2),
    }
    return row, scores


if __name__ == "__main__":
    main()

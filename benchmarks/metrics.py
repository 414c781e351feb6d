"""Exact mean average precision against scikit-learn and torchmetrics' exact mode, on one thread.

    python benchmarks/metrics.py [--quick] [--write]

The others: `average_precision_score(average="macro")`, and `multilabel_average_precision` with
`thresholds=None`. "distinct" scores have no ties; "tied" ones are rounded to two decimals and a
twentieth of the states is unknown, which scikit-learn is told by leaving those cells out, a label
at a time. Gaps are the largest difference of a mean.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING, Any

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy and torch are imported

import numpy as np
import torch
from common import Claim, emit
from sklearn.metrics import average_precision_score
from torchmetrics.functional.classification import multilabel_average_precision
from trainings import load, median_ratio

from mlic.evaluation.metrics import mean_average_precision

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

GOALS = {"scikit-learn": 5.0, "torchmetrics": 8.0}
TOLERANCE = {"scikit-learn": 1e-9, "torchmetrics": 1e-5}  # torchmetrics adds up in float32

Row = dict[str, Any]


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    images, pairs = (5_000, 1) if options.quick else (40_000, 5)
    rows = [
        measure(kind, images, 80, seed) for kind in ("distinct", "tied") for seed in range(pairs)
    ]
    emit(__file__, rows, check_claims(rows), options.write)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="an eighth of the images, one pair")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    return parser.parse_args()


def check_claims(rows: list[Row]) -> list[Claim]:
    """What the raw rows say."""
    claims = []
    for kind in dict.fromkeys(row["scores"] for row in rows):
        own = [row for row in rows if row["scores"] == kind]
        seeds = [row["seed"] for row in own]
        for other, goal in GOALS.items():
            ratio = 1 / median_ratio(own, "ours s", f"{other} s")
            name = f"exact mAP: {other} / ours, {own[0]['images']} x {own[0]['labels']}, {kind}"
            claims.append(Claim(name, ratio, "x", f">= {goal}", ratio >= goal, seeds))
            gap, most = max(row[f"{other} gap"] for row in own), TOLERANCE[other]
            name = f"exact mAP: largest difference from {other}, {kind}"
            claims.append(Claim(name, gap, "of 1", f"<= {most}", gap <= most, seeds))
    return claims


def measure(kind: str, images: int, labels: int, seed: int) -> Row:
    """All three on the same scores."""
    rng = np.random.default_rng(seed)
    frequency = 0.5 / np.arange(1, labels + 1)
    present = rng.random((images, labels)) < frequency
    noise = rng.normal(size=(images, labels)) + 1.5 * present
    scores, states = (1 / (1 + np.exp(-noise))).astype(np.float32), present.astype(np.int8)
    if kind == "tied":
        scores = scores.round(2)
        states[rng.random(states.shape) < 0.05] = -1
    tensors = torch.from_numpy(scores), torch.from_numpy(states).long()
    ours, own = _timed(lambda: mean_average_precision(scores, states))
    theirs, first = _timed(lambda: scikit_learn(scores, states))
    third, second = _timed(
        lambda: float(multilabel_average_precision(*tensors, labels, ignore_index=-1))
    )
    return {
        "scores": kind,
        "images": images,
        "labels": labels,
        "seed": seed,
        "ours s": own,
        "scikit-learn s": first,
        "torchmetrics s": second,
        "scikit-learn gap": abs(ours - theirs),
        "torchmetrics gap": abs(ours - third),
        "load": load(),
    }


def scikit_learn(scores: NDArray[np.float32], states: NDArray[np.int8]) -> float:
    if (states >= 0).all():
        return float(average_precision_score(states, scores, average="macro"))
    known = states >= 0
    return float(
        np.mean(
            [
                average_precision_score(states[rows, label], scores[rows, label])
                for label, rows in enumerate(known.T)
            ]
        )
    )


def _timed(side: Callable[[], float]) -> tuple[float, float]:
    start = time.perf_counter()
    return side(), time.perf_counter() - start


if __name__ == "__main__":
    main()

"""What a student gains on the embedded scenes, over a baseline and over a budget-matched one.

    python benchmarks/demo_gain.py [--quick] [--write] [--seeds N] [--workers N] [--set KEY=VALUE …]

Each seed draws its own scenes, splits them, and trains the baseline, all teachers, the student, and
a second baseline whose epochs equal all training passes of teachers and student, the writing of the
soft targets included. Intervals are paired over seeds, 95 %, from Student's t distribution. Rows
are kept as they finish, and a script that was stopped continues where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from common import Claim, emit, load_parameters
from scipy.stats import t as student_t
from sklearn.metrics import adjusted_rand_score

from mlic.caching.code_version import training_code_version
from mlic.config.cost import count_psd_passes
from mlic.config.parameters import Parameters
from mlic.evaluation.metrics import mean_average_precision
from mlic.labels import LabelMatrix
from mlic.labels.options import BASELINE
from mlic.pipelines.baseline_training.nodes import (
    predict_teacher_logits,
    train_baseline,
    train_budget_matched_baseline,
)
from mlic.pipelines.data_preparation.nodes import decode_images, draw_synthetic_images, split_images
from mlic.pipelines.distillation.nodes import join_logits, train_student
from mlic.pipelines.graph_partition.nodes import (
    build_cooccurrence_graph,
    build_disoccurrence_graph,
    partition_graph,
)
from mlic.pipelines.label_statistics.nodes import count_training_labels
from mlic.pipelines.reporting.nodes import predict_test_split
from mlic.pipelines.teacher_training.nodes import assign_groups, train_teacher, train_teachers
from mlic.report.summary import ensemble_logits
from mlic.training.checkpoint import Checkpoint

BUILDERS = {"cgp": build_cooccurrence_graph, "dgp": build_disoccurrence_graph}
MODELS = ("baseline", "budget_matched_baseline", "cgp", "dgp", "student")
SHUFFLES = 20  # one ARI of a few labels is a coarse figure: their mean is compared


def main() -> None:
    options = parse()
    overrides = ["training.threads=1", *options.set]
    if options.quick:
        overrides += ["synthetic.num_images=400", "training.epochs=1", "partition.num_parts=3"]
    parameters = load_parameters(overrides).model_dump_json()
    number = options.seeds or (2 if options.quick else 10)
    seeds = list(range(options.first, options.first + number))
    jobs = [(seed, parameters, options.fresh) for seed in seeds]
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        rows = list(pool.map(measure_seed, jobs))
    emit(__file__, rows, claims(rows, seeds), options.write)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 seeds, few images and epochs")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    parser.add_argument("--seeds", type=int, help="number of seeds, by default 10")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--workers", type=int, default=4, help="processes, one thread each")
    parser.add_argument("--set", nargs="*", default=[], help="parameters other than the default")
    parser.add_argument("--fresh", action="store_true", help="ignore rows kept before")
    return parser.parse_args()


def measure_seed(job: tuple[int, str, bool]) -> dict[str, Any]:
    """One row: metrics of all models of one seed, kept in the system's temporary folder."""
    seed, dumped, fresh = job
    # Rows of other code or other parameters must not be reused.
    key = f"{training_code_version()}-{zlib.crc32(dumped.encode())}-{seed}"
    kept = Path(tempfile.gettempdir()) / "mlic_demo_gain" / f"{key}.json"
    if kept.is_file() and not fresh:
        return dict(json.loads(kept.read_text()))
    with tempfile.TemporaryDirectory() as folder:
        row = train_all(Parameters.model_validate_json(dumped), seed, Path(folder))
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps(row))
    return row


def train_all(p: Parameters, seed: int, folder: Path) -> dict[str, Any]:
    """Run the nodes of the pipelines from drawing the scenes to predicting the test split."""
    start = time.perf_counter()
    raw, _ = draw_synthetic_images(p.synthetic, seed)
    images, quarantine = decode_images(raw, p.data, folder / "images")
    labels = split_images(raw, quarantine, p.data, seed)
    inputs = {"images": images, "labels": labels, "data": p.data, "model": p.model}
    inputs |= {"training": p.training, "seed": seed}
    # Every training has a folder of its own: two models of one name would overwrite each other.
    partitions = {name: cut(labels, name, p, seed) for name in p.partition.partitioned}
    baseline = train_baseline(store=folder / "baseline", **inputs)
    longer = train_budget_matched_baseline(
        store=folder / "longer", partition=p.partition, teachers=p.teachers, **inputs
    )
    teachers, logits = train_all_teachers(p, partitions, baseline, folder, inputs)
    targets = join_logits(labels, folder / "soft_targets", *logits)
    student = train_student(
        store=folder / "student", soft_targets=targets, distillation=p.distillation, **inputs
    )
    predictions = predict_test_split(
        images, labels, p.training, baseline, longer, student, *teachers
    )
    test = labels.in_split("test")
    return {
        "seed": seed,
        **score(ensemble_logits(predictions, test), test),
        "budget_epochs": round(
            count_psd_passes(p.training, p.partition, p.teachers, p.data.image_size)
        ),
        "ari_cgp": planted_ari(labels, partitions["cgp"].membership, p),
        "ari_shuffled": shuffled_ari(labels, p, seed),
        "seconds": round(time.perf_counter() - start, 1),
        "load": round(os.getloadavg()[0], 2),
    }


def train_all_teachers(
    p: Parameters,
    partitions: dict[str, Any],
    baseline: Checkpoint,
    folder: Path,
    inputs: dict[str, Any],
) -> tuple[list[Checkpoint], list[Any]]:
    """Checkpoints of all group teachers, and the logits of all teachers, in the mode of `p`."""
    groups = {
        f"{name}_{number}": group
        for name, partition in partitions.items()
        for number, group in enumerate(assign_groups(partition, p.partition))
    }
    given = {"teachers": p.teachers, **inputs}
    if p.teachers.mode == "separate":
        made = [train_teacher(group=g, store=folder, **given) for g in groups.values()]
    else:
        trunk = baseline if p.teachers.mode == "frozen" else None
        named = {f"group_{name}": group for name, group in groups.items()}
        outputs = train_teachers(store=folder, baseline=trunk, **given, **named)
        made = [(outputs[f"{name}.checkpoint"], outputs[f"{name}.logits"]) for name in groups]
    logits = [one for _, one in made]
    if BASELINE in p.partition.strategies:
        store = folder / "baseline"
        logits.append(predict_teacher_logits(checkpoint=baseline, store=store, **given))
    return [checkpoint for checkpoint, _ in made], logits


def cut(labels: LabelMatrix, strategy: str, p: Parameters, seed: int) -> Any:
    """The partition of one strategy."""
    statistics = count_training_labels(labels)
    graph = BUILDERS[strategy](statistics, p.partition)
    return partition_graph(graph, statistics, p.partition, seed)


def planted_ari(labels: LabelMatrix, membership: Any, p: Parameters) -> float:
    """Agreement with the planted communities, whose labels are neighbours in the label space."""
    planted = np.arange(len(labels.space)) // p.synthetic.labels_per_community
    return round(float(adjusted_rand_score(planted, membership)), 4)


def shuffled_ari(labels: LabelMatrix, p: Parameters, seed: int) -> float:
    """Mean agreement after the states of every label were shuffled among the images."""
    # Shuffling keeps every label's frequency and destroys all co-occurrence.
    rng, scores = np.random.default_rng(seed), []
    for _ in range(SHUFFLES):
        shuffled = replace(labels, states=rng.permuted(labels.states, axis=0))
        scores.append(planted_ari(labels, cut(shuffled, "cgp", p, seed).membership, p))
    return round(float(np.mean(scores)), 4)


def score(logits: dict[str, Any], test: LabelMatrix) -> dict[str, float]:
    """The mAP of every model in percent."""
    return {
        name: round(100 * mean_average_precision(logits[name], test.states), 3) for name in MODELS
    }


def claims(rows: list[dict[str, Any]], seeds: list[int]) -> list[Claim]:
    """What the raw rows say."""

    def limit(column: str, over: Any, goal: str, holds: Any) -> Claim:
        value = float(over([row[column] for row in rows]))
        unit = "points of mAP" if column == "baseline" else "ARI"
        return Claim(column, round(value, 4), unit, goal, bool(holds(value)), seeds)

    return [
        gain(rows, seeds, "baseline"),
        gain(rows, seeds, "budget_matched_baseline"),
        limit("ari_cgp", min, "= 1", lambda value: value == 1),
        limit("ari_shuffled", max, "< 0.1", lambda value: value < 0.1),
        limit("baseline", np.mean, "60 to 95", lambda value: 60 <= value <= 95),
    ]


def gain(rows: list[dict[str, Any]], seeds: list[int], other: str) -> Claim:
    """The student's gain; the unit names half the width of its interval."""
    gains = np.array([row["student"] - row[other] for row in rows])
    half = student_t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / np.sqrt(len(gains))
    return Claim(
        name=f"student_above_{other}",
        value=round(float(gains.mean()), 3),
        unit=f"points of mAP ± {half:.2f}",
        goal="interval above 0",
        holds=bool(gains.mean() - half > 0),
        seeds=seeds,
    )


if __name__ == "__main__":
    main()

"""What PSD gains on the embedded scenes, against a baseline and one given PSD's whole budget.

    python benchmarks/demo_gain.py [--quick] [--write] [--seeds N] [--workers N] [--set KEY=VALUE …]

Each seed draws its own scenes, splits them, and trains the baseline, all teachers, the student,
and a second baseline whose epochs equal all passes that teachers and student cost, the writing of
the soft targets included. Intervals are paired over seeds, 95 %, from Student's t distribution.
Rows are kept as they finish, and a script that was stopped goes on where it was.
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
from common import ROOT, Claim, emit
from kedro.config import OmegaConfigLoader
from omegaconf import OmegaConf
from scipy.stats import t as student_t
from sklearn.metrics import adjusted_rand_score

from mlic.config.cost import count_psd_passes
from mlic.config.parameters import Parameters, check_parameters
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


def main() -> None:
    options = parse()
    overrides = ["training.threads=1", *options.set]
    if options.quick:
        overrides += ["scenes.num_images=600", "training.epochs=2", "partition.num_parts=3"]
    parameters = load_parameters(overrides)
    number = options.seeds or (2 if options.quick else 10)
    seeds = list(range(options.first, options.first + number))
    jobs = [(seed, parameters.model_dump_json(), options.fresh) for seed in seeds]
    pool = ProcessPoolExecutor(options.workers, mp_context=get_context("spawn"))
    with pool:
        rows = list(pool.map(measure_seed, jobs))
    emit(__file__, rows, claims(rows, seeds), options.write)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 seeds, few images and epochs")
    parser.add_argument("--write", action="store_true", help="keep the results")
    parser.add_argument("--seeds", type=int, help="number of seeds, 10 unless told")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument(
        "--workers", type=int, default=4, help="seeds side by side, one thread each"
    )
    parser.add_argument("--set", nargs="*", default=[], help="parameters other than the default")
    parser.add_argument("--fresh", action="store_true", help="ignore rows kept before")
    return parser.parse_args()


def load_parameters(overrides: list[str]) -> Parameters:
    loader = OmegaConfigLoader(str(ROOT / "conf"), base_env="base", default_run_env="base")
    merged = OmegaConf.merge(loader["parameters"], OmegaConf.from_dotlist(overrides))
    return check_parameters(OmegaConf.to_container(merged))


def measure_seed(job: tuple[int, str, bool]) -> dict[str, Any]:
    """One row: figures of all models of one seed, kept in the system's temporary folder."""
    from mlic.caching.fingerprint import code_fingerprint

    seed, dumped, fresh = job
    key = f"{code_fingerprint()}-{zlib.crc32(dumped.encode())}-{seed}"
    kept = Path(tempfile.gettempdir()) / "mlic_demo_gain" / f"{key}.json"
    if kept.is_file() and not fresh:
        return dict(json.loads(kept.read_text()))
    with tempfile.TemporaryDirectory() as folder:
        row = train_all(Parameters.model_validate_json(dumped), seed, Path(folder))
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps(row))
    return row


def train_all(parameters: Parameters, seed: int, folder: Path) -> dict[str, Any]:
    p, start = parameters, time.perf_counter()
    raw, _ = draw_synthetic_images(p.synthetic, seed)
    images, quarantine = decode_images(raw, p.data, folder / "images")
    labels = split_images(raw, quarantine, p.data, seed)
    common = (p.data, p.model, p.training)
    partitions = cut(labels, p, seed)
    baseline = train_baseline(images, labels, *common, seed, folder / "baseline")
    groups = {
        f"{name}_{number}": group
        for name, partition in partitions.items()
        for number, group in enumerate(assign_groups(partition, p.partition))
    }
    teachers = teach(groups, (images, labels, *common, p.teachers, seed, folder), baseline)
    logits = [teachers[f"{name}.logits"] for name in groups]
    if BASELINE in p.partition.strategies:
        told = (images, labels, *common, p.teachers, seed, folder / "baseline")
        logits.append(predict_teacher_logits(baseline, *told))
    targets = join_logits(labels, folder / "soft_targets", *logits)
    student = train_student(
        images, labels, targets, *common, p.distillation, seed, folder / "student"
    )
    longer = train_budget_matched_baseline(
        images, labels, *common, p.partition, p.teachers, seed, folder / "budget_matched_baseline"
    )
    checkpoints = [baseline, longer, student, *(teachers[f"{name}.checkpoint"] for name in groups)]
    predictions = predict_test_split(images, labels, p.training, *checkpoints)
    test = labels.in_split("test")
    return {
        "seed": seed,
        **score(ensemble_logits(predictions, test), test),
        "budget_epochs": round(count_psd_passes(p.training, p.partition, p.teachers)),
        "ari_cgp": planted_ari(labels, partitions["cgp"].membership, p),
        "ari_shuffled": shuffled_ari(labels, p, seed),
        "seconds": round(time.perf_counter() - start, 1),
        "load": round(os.getloadavg()[0], 2),
    }


def teach(groups: dict[str, Any], common: tuple[Any, ...], baseline: Checkpoint) -> dict[str, Any]:
    """Checkpoints and logits of all teachers, in the mode that the parameters ask for."""
    mode = common[5].mode
    if mode != "separate":
        return train_teachers(*common, baseline=baseline if mode == "frozen" else None, **groups)
    outputs = {}
    for name, group in groups.items():
        made = train_teacher(group, *common)
        outputs |= {f"{name}.checkpoint": made[0], f"{name}.logits": made[1]}
    return outputs


def cut(labels: LabelMatrix, p: Parameters, seed: int) -> dict[str, Any]:
    statistics = count_training_labels(labels)
    return {
        name: partition_graph(
            BUILDERS[name](statistics, p.partition), statistics, p.partition, seed
        )
        for name in p.partition.partitioned
    }


def planted_ari(labels: LabelMatrix, membership: Any, p: Parameters) -> float:
    """Agreement with the planted communities, whose labels stand side by side."""
    planted = np.arange(len(labels.space)) // p.synthetic.labels_per_community
    return round(float(adjusted_rand_score(planted, membership)), 4)


def shuffled_ari(labels: LabelMatrix, p: Parameters, seed: int) -> float:
    """The same after every label was dealt out anew among the training images.

    The mean of 20 shuffles, for one ARI of a few labels is a coarse figure.
    """
    rng = np.random.default_rng(seed)
    scores = []
    for _ in range(20):
        states = rng.permuted(labels.states, axis=0)
        shuffled = replace(labels, states=states)
        scores.append(planted_ari(labels, cut(shuffled, p, seed)["cgp"].membership, p))
    return round(float(np.mean(scores)), 4)


def score(logits: dict[str, Any], test: LabelMatrix) -> dict[str, float]:
    from mlic.evaluation.metrics import mean_average_precision

    maps = {name: mean_average_precision(values, test.states) for name, values in logits.items()}
    return {name: round(100 * maps[name], 3) for name in MODELS}


def claims(rows: list[dict[str, Any]], seeds: list[int]) -> list[Claim]:
    found = [gain(rows, seeds, other) for other in ("baseline", "budget_matched_baseline")]
    found.append(limit(rows, seeds, "ari_cgp", "= 1", lambda value: value == 1, min))
    found.append(limit(rows, seeds, "ari_shuffled", "< 0.1", lambda value: value < 0.1, max))
    found.append(
        limit(rows, seeds, "baseline", "60 to 95", lambda value: 60 <= value <= 95, np.mean)
    )
    return found


def gain(rows: list[dict[str, Any]], seeds: list[int], other: str) -> Claim:
    """The student's gain, with the half-width of its interval in the name of the unit."""
    gains = np.array([row["student"] - row[other] for row in rows])
    half = student_t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / np.sqrt(len(gains))
    return Claim(
        name=f"student_above_{other}",
        value=round(float(gains.mean()), 3),
        unit=f"points of mAP ± {half:.2f}",
        goal="interval above 0",
        cls=bool(gains.mean() - half > 0),
        seeds=seeds,
    )


def limit(
    rows: list[dict[str, Any]], seeds: list[int], column: str, goal: str, test: Any, over: Any
) -> Claim:
    value = float(over([row[column] for row in rows]))
    unit = "points of mAP" if column == "baseline" else "ARI"
    return Claim(column, round(value, 4), unit, goal, bool(test(value)), seeds)


if __name__ == "__main__":
    main()

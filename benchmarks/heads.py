"""Heads and losses compared on Corel5k, at an equal budget, each with tuned learning rates.

    python benchmarks/heads.py --corel FOLDER --weights FILE --glove FILE --write

The images, the 260 words and the fixed test split are those of `known_labels.py`. For each method
Optuna searches the learning rate and the backbone's share of it by validation mAP on seed 0; seeds
1 to 5 confirm. The graph variants of GCN share one search. "shuffled" is a control: the counts of
pairs belong to other labels. F1 is at calibrated thresholds. "images/s" is training on one core;
the latency is that of one image. The three methods with the best validation mAP are then teachers
and students of parallel self-distillation (CGP + DGP). ``--only`` measures a part.

The scores of every finished training are a line of ``results/heads_rows.jsonl``. A run continues
after them, on another machine too: the whole study takes about five hours of a core.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import optuna
import torch
from calibration_study.logits import load
from common import RESULTS, Claim, emit, header
from gain.datasets import CACHE, StudyData
from gain.harness import config_hash
from gain.product import Team, Trained, Trainings
from known_labels import FEWEST, read_words
from numpy.typing import NDArray
from scipy.stats import t as student_t
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mlic.caching.code_version import training_code_version
from mlic.caching.tensors import load_tensors, save_tensors
from mlic.config.parameters import Parameters
from mlic.evaluation.metrics import mean_average_precision, threshold_metrics
from mlic.inference.calibrate import calibrate
from mlic.labels.embeddings import embed_labels
from mlic.labels.options import EmbeddingOptions
from mlic.labels.statistics import count_labels
from mlic.models.classifier import build_classifier
from mlic.pipelines.data_preparation.nodes import decode_images, split_images
from mlic.training.inputs import TrainingInputs
from mlic.training.options import Choice
from mlic.training.predict import predict_checkpoint
from mlic.training.train import make_task, train

EPOCHS, TRIALS, SEEDS, BEST = 8, 5, 5, 3
RATES = (5e-4, 1e-2)  # of the learning rate; logarithmic
BACKBONE_RATES = (0.1, 1.0)
BCE, ASL, AAM = (
    Choice(name=name) for name in ("binary_cross_entropy", "asymmetric", "angular_asymmetric")
)
GLOVE, SPECTRAL, LEARNED = "glove", "spectral", "learned"
# All attention heads have this size: their published ones cost a CPU ten times a linear head's
# training. Dropout would keep it from fused attention.
NARROW = {"width": 128, "feedforward": 256, "dropout": 0}


@dataclass(frozen=True)
class Method:
    """A head and its loss."""

    head: str
    loss: Choice
    options: Mapping[str, Any] | None = None
    vectors: str = LEARNED
    shuffled: bool = False
    search: str | None = None  # the method whose search it shares


METHODS = {
    "linear, BCE": Method("linear", BCE),
    "linear, ASL": Method("linear", ASL),
    "cosine, AAM": Method("cosine", AAM),
    "GCN, GloVe, AAM": Method("graph_cosine", AAM, {"layer": "gcn"}, GLOVE),
    "GCN, spectrum, AAM": Method(
        "graph_cosine", AAM, {"layer": "gcn"}, SPECTRAL, search="GCN, GloVe, AAM"
    ),
    "GCN, GloVe, shuffled, AAM": Method(
        "graph_cosine", AAM, {"layer": "gcn"}, GLOVE, shuffled=True, search="GCN, GloVe, AAM"
    ),
    "GAT, GloVe, AAM": Method("graph_cosine", AAM, {"layer": "gat"}, GLOVE),
    "ML-Decoder, ASL": Method("ml_decoder", ASL, NARROW),
    "Query2Label, ASL": Method("query_decoder", ASL, NARROW),
    "transformer encoder, ASL": Method("transformer_encoder", ASL, NARROW),
    "C-Tran, ASL": Method("c_tran", ASL, {"layers": 2, **NARROW}),
}
QUICK = ("linear, ASL", "cosine, AAM", "GCN, GloVe, shuffled, AAM")
Rates = tuple[float, float]
Scores = dict[str, float]


ROWS = RESULTS / "heads_rows.jsonl"
_known: dict[str, Scores] = {}  # scores of finished trainings, by method, rates, seed and kind


def main() -> None:
    """Measure all that is missing, print and write."""
    options = parse()
    if not options.quick and ROWS.is_file():
        rows = map(json.loads, ROWS.read_text(encoding="utf-8").splitlines())
        _known.update({_key(row.pop("training")): row.pop("scores") for row in rows})
    torch.set_num_threads(1)  # figures depend to the last bit on the number of threads
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    names = options.only or (list(QUICK) if options.quick else list(METHODS))
    rates = {name: _search(METHODS[name].search or name, options) for name in names}
    seeds = [1] if options.quick else list(range(1, SEEDS + 1))
    found = {name: [_measure(name, rates[name], s, options) for s in seeds] for name in names}
    rows = [_row(name, rates[name], found[name]) for name in names]
    best = sorted(names, key=lambda name: -float(np.mean([s["validation"] for s in found[name]])))
    gains = {}
    if not options.only:
        for name in best[: 1 if options.quick else BEST]:
            gains[name] = [_distil(name, rates[name], seed, options) for seed in seeds]
            rows.append(_row(f"{name}, student of CGP + DGP", rates[name], gains[name], False))
    for row, name in zip(rows, names, strict=False):
        row.update(_speed(name, options))
    emit(__file__, rows, list(_claims(found, gains, seeds)), options.write)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corel", type=Path, required=True, help="folder of corel5k_train.parquet")
    parser.add_argument("--weights", type=Path, required=True, help="ImageNet weights")
    parser.add_argument("--glove", type=Path, required=True, help="GloVe vectors of the words")
    parser.add_argument("--only", nargs="*", choices=METHODS, help="some methods, no students")
    parser.add_argument(
        "--quick", action="store_true", help="one seed, one epoch, few images, three methods"
    )
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    options = parser.parse_args()
    if options.write and (options.quick or options.only):
        parser.error("--write needs all methods at full size")
    return options


def _search(name: str, options: argparse.Namespace) -> Rates:
    """Find the rates with the best validation mAP on seed 0; trials are kept like trainings."""

    def score(trial: optuna.Trial) -> float:
        rate = trial.suggest_float("learning_rate", *RATES, log=True)
        backbone = trial.suggest_float("backbone_rate", *BACKBONE_RATES, log=True)
        return _measure(name, (rate, backbone), 0, options)["validation"]

    sampler = optuna.samplers.TPESampler(seed=0, n_startup_trials=3)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(score, n_trials=1 if options.quick else TRIALS)
    return study.best_params["learning_rate"], study.best_params["backbone_rate"]


def _measure(name: str, rates: Rates, seed: int, options: argparse.Namespace) -> Scores:
    """Train one model, unless it is kept, and score it."""
    if (known := _known.get(_key([name, *rates, seed, "alone"]))) is not None:
        return known
    p, method = _parameters(name, rates, options), METHODS[name]
    file = _folder(p, method, seed) / f"{seed}.safetensors"
    if not file.is_file():
        inputs = _inputs(p, method, seed, options)
        start = time.process_time()
        (checkpoint,) = train(make_task(inputs.make_job("baseline", "baseline")))
        seconds = time.process_time() - start
        save_tensors(file, *_predict(inputs, checkpoint, seconds))
    found = _score(file, method.loss)
    print(seed, name, rates, {key: round(value, 2) for key, value in found.items()}, flush=True)
    _keep([name, *rates, seed, "alone"], found, options)
    return found


def _key(training: list[Any]) -> str:
    return json.dumps(training)


def _keep(training: list[Any], scores: Scores, options: argparse.Namespace) -> None:
    """Add the scores of a training to the rows."""
    if not options.quick:
        row = {"training": training, "commit": header()["commit"], "scores": scores}
        with ROWS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def _predict(inputs: TrainingInputs, checkpoint: Any, seconds: float) -> tuple[Any, dict[str, str]]:
    """Logits and states of both splits, and the images that were trained on in a second."""
    labels, arrays = inputs.labels, {}
    for split in ("validation", "test"):
        arrays[f"logits.{split}"] = predict_checkpoint(
            checkpoint, inputs.images, labels.rows(split), inputs.training
        )
        arrays[f"states.{split}"] = labels.in_split(split).states
    speed = inputs.training.epochs * len(labels.rows("train")) / seconds
    return arrays, {"images_per_second": repr(speed)}


def _score(file: Path, loss: Choice) -> Scores:
    arrays, kept = load_tensors(file)
    logits, states = (
        {split: arrays[f"{kind}.{split}"] for split in ("validation", "test")}
        for kind in ("logits", "states")
    )
    fitted = calibrate(
        logits["validation"], states["validation"], loss=loss.name, loss_options=loss.options
    )
    probabilities = fitted.probabilities(logits["test"])
    decided = fitted.decide(probabilities).astype(np.float64)
    f1 = threshold_metrics(decided, states["test"], 0.5)
    return {
        "validation": 100 * mean_average_precision(logits["validation"], states["validation"]),
        "mAP": 100 * mean_average_precision(logits["test"], states["test"]),
        "CF1": 100 * f1["CF1"],
        "OF1": 100 * f1["OF1"],
        "images/s": float(kept["images_per_second"]),
    }


def _distil(name: str, rates: Rates, seed: int, options: argparse.Namespace) -> Scores:
    """Score the student of CGP + DGP, whose teachers have the same head and loss."""
    if (known := _known.get(_key([name, *rates, seed, "student"]))) is not None:
        return known
    p, method = _parameters(name, rates, options), METHODS[name]
    folder = _folder(p, method, seed) / f"{seed}_psd"
    file = folder / "student.safetensors"
    if not file.is_file():
        inputs = _inputs(p, method, seed, options)
        cut = partial(StudyData(inputs.labels).partition, parts=p.partition.num_parts, seed=seed)
        fields = ("images", "labels", "data", "model", "training", "seed", "embeddings")
        trainings = Trainings({field: getattr(inputs, field) for field in fields}, cut, folder)
        team = trainings.team(Team("joint", ("cgp", "dgp")))
        made: Trained = trainings.student("CGP + DGP", [team], p.distillation)
        save_tensors(file, *_predict(inputs, made.checkpoints[0], made.seconds + team.seconds))
    found = _score(file, method.loss)
    print(seed, name, "student", {key: round(v, 2) for key, v in found.items()}, flush=True)
    _keep([name, *rates, seed, "student"], found, options)
    return found


def _parameters(name: str, rates: Rates, options: argparse.Namespace) -> Parameters:
    p, method = load("Corel5k", options.quick, options.weights), METHODS[name]
    vectors = EmbeddingOptions()
    if method.vectors == GLOVE:
        vectors = EmbeddingOptions(source="glove", file=str(options.glove), dimension=50)
    elif method.vectors == SPECTRAL:
        vectors = EmbeddingOptions(source="spectral", dimension=50)
    model = {
        "head": method.head,
        "head_options": dict(method.options or {}),
        "embeddings": vectors,
    }
    training = {"learning_rate": rates[0], "backbone_rate": rates[1], "loss": method.loss}
    training |= {} if options.quick else {"epochs": EPOCHS}
    changes = {"model": p.model.model_copy(update=model)}
    changes["training"] = p.training.model_copy(update=training)
    changes["data"] = p.data.model_copy(update={"drop_labels_below": 1 if options.quick else None})
    return p.model_copy(update=changes)


def _folder(p: Parameters, method: Method, seed: int) -> Path:
    """Folder of what is kept of one configuration."""
    key = {"p": p.model_dump(mode="json"), "fewest": FEWEST, "shuffled": method.shuffled}
    return CACHE.parent / "mlic_heads" / f"{config_hash(key)}_{training_code_version()}"


@dataclass(frozen=True)
class Shuffled(TrainingInputs):
    """Inputs whose pair counts belong to other labels."""

    @property
    def context(self) -> Any:  # type: ignore[override]
        """What the head needs to know, with the columns of the labels permuted."""
        found, train = super().context, self.labels.in_split("train")
        order = np.random.default_rng(self.seed).permutation(len(train.space))
        return replace(found, statistics=count_labels(train.states[:, order], train.space))


def _inputs(p: Parameters, method: Method, seed: int, options: argparse.Namespace) -> Any:
    raw = read_words(options.corel, 20 if options.quick else 1)
    images, quarantine = decode_images(raw, p.data, CACHE.parent / "mlic_heads" / "images")
    labels = split_images(raw, quarantine, p.data, seed)
    embeddings = None
    if method.vectors != LEARNED:
        train = labels.in_split("train")
        embeddings = embed_labels(count_labels(train.states, train.space), p.model.embeddings)
    kind = Shuffled if method.shuffled else TrainingInputs
    return kind(images, labels, p.data, p.model, p.training, seed, embeddings)


def _speed(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Parameters, MACs of one image, and its latency; the graph branch is folded."""
    p = _parameters(name, (1e-3, 1.0), options)
    inputs = _inputs(p, METHODS[name], 1, options)
    whole = build_classifier(p.model.model_copy(update={"weights": None}), inputs.context)
    parameters = sum(value.numel() for value in whole.parameters())
    model = whole.eval().fold()
    image = torch.rand(1, 3, p.data.image_size, p.data.image_size)
    # fused attention would not be counted
    torch.backends.mha.set_fastpath_enabled(False)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(image)
    torch.backends.mha.set_fastpath_enabled(True)
    times: list[float] = []
    with torch.inference_mode():
        for _ in range(5 if options.quick else 60):
            start = time.perf_counter()
            model(image)
            times.append(time.perf_counter() - start)
    return {
        "parameters (M)": round(parameters / 1e6, 2),
        "MACs (M)": round(counter.get_total_flops() / 2e6, 1),
        "latency (ms)": round(1000 * median(times), 1),
    }


def _row(name: str, rates: Rates, found: list[Scores], is_full: bool = True) -> dict[str, Any]:
    row: dict[str, Any] = {"method": name}
    row |= {"learning rate": f"{rates[0]:.2g}", "backbone": f"{rates[1]:.2g}"}
    for column in ("validation", "mAP", "CF1", "OF1"):
        row[column] = _spread([one[column] for one in found])
    row["images/s"] = round(median(one["images/s"] for one in found))
    blank = {} if is_full else dict.fromkeys(("parameters (M)", "MACs (M)", "latency (ms)"), "")
    return row | blank


def _spread(values: list[float]) -> str:
    deviation = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
    return f"{np.mean(values):.2f}{deviation}"


def _claims(
    found: Mapping[str, list[Scores]], gains: Mapping[str, list[Scores]], seeds: list[int]
) -> Iterator[Claim]:
    """Paired differences of test mAP; one holds where its two-sided 95 % interval is above zero."""
    pairs = [(name, "linear, ASL") for name in found if name != "linear, ASL"]
    pairs += [("GCN, GloVe, AAM", other) for other in ("cosine, AAM", "GCN, GloVe, shuffled, AAM")]
    for name, other in pairs:
        if name in found and other in found:
            yield _compare(f"{name} − {other}", found[name], found[other], seeds)
    for name, students in gains.items():
        yield _compare(f"{name}: student − alone", students, found[name], seeds)


def _compare(name: str, ours: list[Scores], theirs: list[Scores], seeds: list[int]) -> Claim:
    values: NDArray[Any] = np.array(
        [a["mAP"] - b["mAP"] for a, b in zip(ours, theirs, strict=True)]
    )
    mean, half = float(values.mean()), 0.0
    if len(values) > 1:
        error = values.std(ddof=1) / np.sqrt(len(values))
        half = float(student_t.ppf(0.975, len(values) - 1) * error)
    return Claim(name, mean, f"points of mAP, ± {half:.2f} (95 %)", "> 0", mean > half, seeds)


if __name__ == "__main__":
    main()

"""What known labels are worth on Corel5k: C-Tran, the refiner, both, and a count-only control.

    python benchmarks/known_labels.py --corel FOLDER --weights FILE --write

All words that at least 7 of the 4,500 images have, 260; a fixed test split of our own. For every
image the same quarter of the labels is scored, while 0, 25, 50 or 75 % of the labels are known. The
count-only control is given the sum of all surprises of an image, not which labels are known.
The configuration was chosen on validation images of seed 0, which is not among the seeds here.
Models are kept as they are made; a run that was stopped continues.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from calibration_study.logits import load
from common import Claim, emit
from gain.datasets import CACHE, load_corel
from gain.harness import config_hash
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import t as student_t

from mlic.caching.code_version import training_code_version
from mlic.caching.tensors import load_tensors, save_tensors
from mlic.config.parameters import Parameters
from mlic.datasets import ManifestDataset
from mlic.evaluation.known_labels import LEVELS, LabelMasks
from mlic.evaluation.metrics import mean_average_precision
from mlic.evaluation.refinement import draw_subsets, surprises
from mlic.inference.calibrate import calibrate
from mlic.inference.fit_refiner import fit_refiner
from mlic.labels import LabelMatrix
from mlic.labels.statistics import count_labels
from mlic.pipelines.data_preparation.nodes import decode_images, split_images
from mlic.training.calibration import Calibration
from mlic.training.inputs import TrainingInputs
from mlic.training.predict import predict_checkpoint
from mlic.training.refiner import Refiner
from mlic.training.train import make_task, train
from mlic.utils.seeds import derive_seed

FEWEST = 7  # images of a word that is learned
MASK_SEEDS = (0, 1, 2)
HEADS: dict[str, dict[str, Any]] = {
    "linear": {"head": "linear", "head_options": {}, "backbone_rate": 1.0},
    "C-Tran": {
        "head": "c_tran",
        "head_options": {"width": 128, "layers": 2, "dropout": 0},
        "backbone_rate": 0.25,
    },
}
RIDGE = 3.0  # of the count-only control's weights
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Model:
    """Log-odds of one model of one seed by split, mask seed and level, and what they belong to."""

    labels: LabelMatrix
    calibration: Calibration
    arrays: Arrays

    def odds(self, split: str, mask: int, level: int) -> NDArray[np.float64]:
        """Calibrated log-odds of the model when the labels of a level are known."""
        name = f"{split}.{mask}.{level}"
        logits = self.arrays.get(name, self.arrays[f"{split}.0.0"])
        return self.calibration.calibrated_odds(logits)


def main() -> None:
    """Measure all seeds, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corel", type=Path, required=True, help="folder of corel5k_train.parquet")
    parser.add_argument("--weights", type=Path, required=True, help="ImageNet weights")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one seed, one epoch")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    options = parser.parse_args()
    seeds = [1] if options.quick else list(range(1, options.seeds + 1))
    found = [_measure(seed, options) for seed in seeds]
    emit(__file__, list(_rows(found)), _claims(found, seeds), options.write)


def _measure(seed: int, options: argparse.Namespace) -> dict[tuple[str, int], float]:
    """Score every way at every level, in percent: the mean over the masks."""
    models = {name: _make_model(name, seed, options) for name in HEADS}
    scores: dict[tuple[str, int], list[float]] = {}
    for mask in MASK_SEEDS:
        for level in LEVELS:
            for way, (odds, scored) in _answers(models, mask, level):
                score = 100 * mean_average_precision(odds, scored)
                scores.setdefault((way, level), []).append(score)
    means = {key: float(np.mean(values)) for key, values in scores.items()}
    for way in dict.fromkeys(way for way, _ in means):
        print(seed, way, [round(means[way, level], 2) for level in LEVELS], flush=True)
    return means


def _answers(
    models: dict[str, Model], mask: int, level: int
) -> Iterator[tuple[str, tuple[NDArray[np.float64], NDArray[np.int8]]]]:
    """Log-odds of every way to use known labels, and the states that are scored."""
    test = models["linear"].labels.in_split("test")
    masks = LabelMasks.draw(test.ids, test.space, mask)
    known, scored = masks.known(test.states, level), masks.scored(test.states)
    for name, model in models.items():
        blind, informed = model.odds("test", 0, 0), model.odds("test", mask, level)
        refiner = _fit_plain(model)
        yield f"{name}, count-only control", (_tell_count(model, blind, known), scored)
        yield f"{name}, refiner", (refiner.refine(blind, known), scored)
        if name == "C-Tran":
            yield name, (informed, scored)
            yield f"{name} and refiner", (_fit_informed(model).refine(informed, known), scored)


def _fit_plain(model: Model) -> Refiner:
    """Refiner on what the model says without known labels."""
    states = model.labels.in_split("validation").states
    odds = model.odds("validation", 0, 0)
    drawn = draw_subsets(states, np.random.default_rng(derive_seed(0, "refiner")))
    return _fit(model, [(odds, known) for known in drawn])


def _fit_informed(model: Model) -> Refiner:
    """Refiner on top of a model that is given the known labels itself."""
    validation, parts = model.labels.in_split("validation"), []
    for mask in MASK_SEEDS:
        masks = LabelMasks.draw(validation.ids, validation.space, mask)
        parts += [
            (model.odds("validation", mask, level), masks.known(validation.states, level))
            for level in LEVELS[1:]
        ]
    return _fit(model, parts)


def _fit(model: Model, parts: list[tuple[NDArray[np.float64], NDArray[np.int8]]]) -> Refiner:
    validation, train = (model.labels.in_split(split) for split in ("validation", "train"))
    return fit_refiner(parts, validation.states, count_labels(train.states, train.space))[0]


def _tell_count(
    model: Model, odds: NDArray[np.float64], known: NDArray[np.int8]
) -> NDArray[np.float64]:
    """Shift each label by a weight of its own times the sum of all surprises of an image."""
    validation = model.labels.in_split("validation")
    own, sums, y, hidden = model.odds("validation", 0, 0), [], [], []
    for mask in MASK_SEEDS:
        masks = LabelMasks.draw(validation.ids, validation.space, mask)
        for level in LEVELS[1:]:
            given = masks.known(validation.states, level)
            sums.append(_sum_surprises(own, given))
            y.append(validation.states == 1)
            hidden.append((given < 0) & (validation.states >= 0))
    offset = np.tile(own, (len(sums), 1))
    s, target, weight = np.concatenate(sums)[:, None], np.concatenate(y), np.concatenate(hidden)
    factors = np.zeros(own.shape[1])
    for _ in range(30):
        p = expit(offset + s * factors)
        gradient = (weight * (p - target) * s).sum(axis=0) + RIDGE * factors
        factors -= gradient / ((weight * p * (1 - p) * s**2).sum(axis=0) + RIDGE)
    shifted: NDArray[np.float64] = odds + _sum_surprises(odds, known)[:, None] * factors
    return shifted


def _sum_surprises(odds: NDArray[np.float64], known: NDArray[np.integer]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = sum(surprises(odds, known)).sum(axis=1)  # type: ignore[union-attr]
    return total


def _make_model(name: str, seed: int, options: argparse.Namespace) -> Model:
    """Train one model, or take what is kept of it."""
    p = _parameters(name, options)
    key = config_hash({"p": p.model_dump(mode="json"), "fewest": FEWEST, "masks": MASK_SEEDS})
    folder = CACHE.parent / "mlic_known_labels"
    file = folder / f"{name}_{key}_{training_code_version()}_{seed}.safetensors"
    raw = read_words(options.corel, 10 if options.quick else 1)
    images, quarantine = decode_images(raw, p.data, folder / "images")
    labels = split_images(raw, quarantine, p.data, seed)
    if not file.is_file():
        inputs = TrainingInputs(images, labels, p.data, p.model, p.training, seed)
        (checkpoint,) = train(make_task(inputs.make_job("baseline", "baseline")))
        arrays: Arrays = {}
        for split in ("validation", "test"):
            own, rows = labels.in_split(split), labels.rows(split)
            for mask, level in [(0, 0), *((m, at) for m in MASK_SEEDS for at in LEVELS[1:])]:
                if level and name == "linear":
                    continue  # it has no use for known labels
                known = LabelMasks.draw(own.ids, own.space, mask).known(own.states, level)
                arrays[f"{split}.{mask}.{level}"] = predict_checkpoint(
                    checkpoint, images, rows, p.training, known
                )
        save_tensors(file, arrays, {})
    arrays, _ = load_tensors(file)
    states = labels.in_split("validation").states
    calibration = calibrate(arrays["validation.0.0"], states, loss=p.training.loss.name)
    return Model(labels, calibration, arrays)


def _parameters(name: str, options: argparse.Namespace) -> Parameters:
    p, own = load("Corel5k", options.quick, options.weights), HEADS[name]
    model = {"head": own["head"], "head_options": own["head_options"]}
    training = {"backbone_rate": own["backbone_rate"]}
    return p.model_copy(
        update={
            "model": p.model.model_copy(update=model),
            "training": p.training.model_copy(update=training),
            "data": p.data.model_copy(update={"drop_labels_below": 1 if options.quick else None}),
        }
    )


def read_words(folder: Path, every: int) -> Any:
    """Encoded images with the labels of 260 words; the test images are those of all studies.

    One image in `every` is taken.
    """
    fixed = load_corel(folder).labels
    raw = ManifestDataset(str(folder / "corel5k_train.parquet")).load()
    frequent = np.flatnonzero((raw.labels.states == 1).sum(axis=0) >= FEWEST).tolist()
    split = np.where(fixed.split == "test", "test", "")
    assert np.array_equal(fixed.ids, raw.labels.ids)
    labels = raw.labels.with_split(split).with_labels(frequent)
    kept = list(range(0, len(labels), every))
    return replace(raw, labels=labels.take(kept), sources=[raw.sources[i] for i in kept])


def _rows(found: list[dict[tuple[str, int], float]]) -> Iterator[dict[str, Any]]:
    ways = dict.fromkeys(way for way, _ in found[0])
    for way in ways:
        row: dict[str, Any] = {"model": way}
        for level in LEVELS:
            values = [one[way, level] for one in found]
            row[f"{level} % known"] = _spread(values)
        row["50 % − 0 %"] = _spread([one[way, 50] - one[way, 0] for one in found])
        yield row


def _spread(values: list[float]) -> str:
    deviation = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
    return f"{np.mean(values):.2f}{deviation}"


def _claims(found: list[dict[tuple[str, int], float]], seeds: list[int]) -> list[Claim]:
    """Differences over the seeds, paired; a lower bound is that of a one-sided 95 % interval."""
    refiner, control = "linear, refiner", "linear, count-only control"

    def paired(way: str, level: int, other: str, base: int) -> list[float]:
        return [one[way, level] - one[other, base] for one in found]

    steps = [
        min(
            float(np.mean(paired(way, high, way, low)))
            for low, high in ((0, 25), (25, 50), (50, 75))
        )
        for way in (refiner, "C-Tran")
    ]
    half = paired(refiner, 50, refiner, 0)
    above = _lower_bound(paired(refiner, 50, control, 50))
    blind = float(np.mean(paired("C-Tran", 0, "linear, refiner", 0)))
    aware = _lower_bound(paired("C-Tran", 50, "C-Tran", 0))
    best = float(np.mean(paired("C-Tran and refiner", 50, "C-Tran, refiner", 50)))
    unit = "points of mAP"
    return [
        Claim(
            "refiner_half_known",
            float(np.mean(half)),
            unit,
            ">= 5",
            bool(np.mean(half) >= 5),
            seeds,
        ),
        Claim("refiner_above_count_only", above, f"{unit}, lower bound", "> 0", above > 0, seeds),
        Claim("refiner_smallest_step", steps[0], unit, "> 0", steps[0] > 0, seeds),
        Claim("c_tran_smallest_step", steps[1], unit, "> 0", steps[1] > 0, seeds),
        Claim("c_tran_half_known", aware, f"{unit}, lower bound", "> 0", aware > 0, seeds),
        Claim("c_tran_hints_beside_refiner", best, unit, "> 0", best > 0, seeds),
        Claim("c_tran_above_linear_unaided", blind, unit, "> 0", blind > 0, seeds),
    ]


def _lower_bound(values: list[float]) -> float:
    if len(values) < 2:
        return float(np.mean(values))
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values) - student_t.ppf(0.95, len(values) - 1) * error)


if __name__ == "__main__":
    main()
